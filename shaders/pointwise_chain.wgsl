// Several integer layers with kernels of 1, each on the result of the one before, for a GPU: what lies between them is in
// the workgroup's memory. A workgroup takes P positions, one after the other row by row; an invocation makes results of
// four of them in four channels. Sums as in integer_conv.wgsl.
//
// The input of one layer may go through a layer norm first, which 128 / P invocations share for each position, not one
// alone as in integer_layer_norm.wgsl. The result may be the parameters of a half of the latent: then what follows from
// them is made as well, see half.wgsl, of the workgroup's memory.
#define P 16
#define LAYERS 2
#define SOURCES 1 // tensors whose channels follow each other; all but the last of whole groups
#define TABLE0 0 // 1: the layer has a table for its activation
#define TABLE1 0
#define TABLE2 0
#define TABLE3 0
#define NORM 4 // layer whose input is normed; 4: none
#define RES 0 // the last layer adds a residual: 1: a tensor, 2: what the norm reads
#define ACTIVATION 0 // 1: the result is stored as activations too
#define STORED 1 // 0: nobody reads the result but what makes a half of it
#define INDEX 0 // 1: the result is parameters of a half; what half.wgsl makes of them, by these constants
#define QUANTISE 0
#define DEQUANTISE 0
#define SEEN 0
#define GROUPS 1 // of channels that the workgroup's memory holds of each position
@group(0) @binding(0) var<uniform> p: Params;
#if RES == 1
@group(0) @binding(1) var residual: texture_2d_array<f32>;
#end
#if STORED
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;
#end
#if ACTIVATION
@group(0) @binding(3) var activation: texture_storage_2d_array<rgba32float, write>;
#end
#for l in 0..LAYERS
@group(0) @binding(${4 + 3 * l}) var<storage, read> weights${l}: array<vec4f>; // output blocks x input groups x 4 inputs
@group(0) @binding(${5 + 3 * l}) var scalars${l}: texture_2d_array<i32>; // output blocks x (bias and half a step, shift)
#end
#if TABLE0
@group(0) @binding(6) var table0: texture_2d_array<i32>; // 64 x 64, in x
#end
#if TABLE1
@group(0) @binding(9) var table1: texture_2d_array<i32>;
#end
#if TABLE2
@group(0) @binding(12) var table2: texture_2d_array<i32>;
#end
#if TABLE3
@group(0) @binding(15) var table3: texture_2d_array<i32>;
#end
#for i in 0..SOURCES
@group(0) @binding(${16 + i}) var source${i}: texture_2d_array<f32>;
#end
#if NORM < LAYERS
@group(0) @binding(22) var normWeights: texture_2d_array<i32>; // as in integer_layer_norm.wgsl
@group(0) @binding(23) var rsqrt: texture_2d_array<i32>;
#end
#if INDEX
@group(0) @binding(24) var thresholds: texture_2d_array<f32>;
@group(0) @binding(25) var<storage, read_write> indexes: array<u32>;
#end
#if QUANTISE
@group(0) @binding(26) var latent: texture_2d_array<f32>;
@group(0) @binding(27) var zones: texture_2d_array<f32>;
@group(0) @binding(28) var<storage, read_write> symbols: array<u32>;
#end
#if DEQUANTISE
@group(0) @binding(29) var base: texture_2d_array<f32>;
@group(0) @binding(30) var yHat: texture_storage_2d_array<rgba32float, write>;
#if SEEN
@group(0) @binding(31) var yHatSeen: texture_storage_2d_array<rgba32float, write>;
#end
#end

struct Params {
  width: i32,
  height: i32,
  keep: i32,
  least: i32, // the result's range
  most: i32,
  zero: i32,
#for l in 0..LAYERS
  groups${l}: i32, // of four inputs
  blocks${l}: i32, // of four outputs
  exact${l}: i32, // input groups that f32 sums
  from${l}: i32, // where in the workgroup's memory the layer reads, and where it writes
  into${l}: i32,
#end
#if NORM < LAYERS
  channels: i32, // of the norm
  epsilon: i32,
  raw: i32, // where the norm reads
  shares: i32, // where those that share a position leave what they have found
#end
#if INDEX
  halfChannels: i32,
  half: i32,
  first: i32,
  texels: i32,
  last: i32,
  start: i32,
  hasBase: i32,
  seenShift: i32,
#end
#if ACTIVATION
  activationShift: i32,
#end
#for i in 1..SOURCES
  begin${i}: i32, // group where each further source begins
#end
}

#include "activations.wgsl"
#include "exact_integer.wgsl"
#include "checkerboard.wgsl"

// Group by group, P positions of each.
var<workgroup> between: array<vec4f, ${P * GROUPS}>;

#if INDEX
#include "half.wgsl"
#end
#if NORM < LAYERS
#include "chain_norm.wgsl"
#end

fn inputAt(at: vec2i, c: i32) -> vec4f {
#for i in 1..SOURCES
  if (c >= p.begin${SOURCES - i}) { return load(source${SOURCES - i}, at.x, at.y, c - p.begin${SOURCES - i}); }
#end
  return load(source0, at.x, at.y, c);
}

fn finish(v: vec4i, residue: vec4i, at: vec2i, block: i32) -> vec4f {
  var result = select(vec4i(0), clamp(v, vec4i(p.least), vec4i(p.most)), isKept(p.keep, at.x, at.y));
#if RES
  result += residue;
  result = select(result, clamp12(result), p.most == 2047);
#end
#if STORED
  store(output, at.x, at.y, block, vec4f(result));
#end
#if ACTIVATION
  store(activation, at.x, at.y, block, activationsOf(result, p.activationShift));
#end
  return vec4f(result);
}

@compute @workgroup_size(128)
fn pointwiseChain(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
) {
  beginTile(workgroup.z, workgroups);
  let lane = i32(local.x);
  let quad = lane % ${P / 4};
  let first = ${P} * i32(workgroup.x + workgroup.y * workgroups.x) + 4 * quad;
  let count = p.width * p.height;
  // Positions beyond the last read the first one.
#for j in 0..4
  let n${j} = select(0, first + ${j}, first + ${j} < count);
  let at${j} = vec2i(n${j} % p.width, n${j} / p.width);
#end
#for l in 0..LAYERS
#if l == NORM
  normalise(lane, ${P} * i32(workgroup.x + workgroup.y * workgroups.x), count);
#end
  for (var block = lane / ${P / 4}; block < p.blocks${l}; block += ${512 / P}) {
    let bias = textureLoad(scalars${l}, vec2i(block, 0), 0, 0);
    let shift = vec4u(textureLoad(scalars${l}, vec2i(block, 1), 0, 0));
#for j in 0..4
    var a${j} = bias;
#end
    for (var start = 0; start < p.groups${l}; start += p.exact${l}) {
#for j in 0..4
      var s${j} = vec4f(0.0);
#end
      for (var c = start; c < min(start + p.exact${l}, p.groups${l}); c++) {
#for k in 0..4
        let w${k} = weights${l}[(block * p.groups${l} + c) * 4 + ${k}];
#end
#for j in 0..4
#if l == 0 && NORM > 0
        let i${j} = inputAt(at${j}, c);
#else
        let i${j} = between[p.from${l} + ${P} * c + 4 * quad + ${j}];
#end
#for k in 0..4
        s${j} = fma(vec4f(i${j}.${xyzw(k)}), w${k}, s${j});
#end
#end
      }
#for j in 0..4
      a${j} += exactInteger(s${j});
#end
    }
#for j in 0..4
#if (l == 0 && TABLE0) || (l == 1 && TABLE1) || (l == 2 && TABLE2) || (l == 3 && TABLE3)
    // A shift of 31 marks channels that aren't there, whatever their table has at 0.
    let v${j} = select(entries(table${l}, clamp12(a${j} >> shift) + 2048), vec4i(0), shift == vec4u(31));
#else
    let v${j} = a${j} >> shift;
#end
#if l == LAYERS - 1
#if RES == 0
    let residue${j} = vec4i(0);
#end
#if RES == 1
    let residue${j} = loadInteger(residual, at${j}.x, at${j}.y, block);
#end
#if RES == 2
    let residue${j} = vec4i(between[p.raw + ${P} * block + 4 * quad + ${j}]);
#end
    var r${j} = vec4f(0.0);
    if (first + ${j} < count) { r${j} = finish(v${j}, residue${j}, at${j}, block); }
#if INDEX
    between[p.into${l} + ${P} * block + 4 * quad + ${j}] = r${j};
#end
#else
    between[p.into${l} + ${P} * block + 4 * quad + ${j}] = vec4f(clamp12(v${j}));
#end
#end
  }
#if l < LAYERS - 1 || INDEX
  workgroupBarrier();
#end
#end
#if INDEX
  // Rows are of whole fours of columns: all four positions are of one row, and two of them of the half.
  let blocks = p.halfChannels / 4;
  let ofHalf = p.into${LAYERS - 1} + 4 * quad + columnOf(0, at0.y);
  for (var block = lane / ${P / 4}; block < blocks; block += ${512 / P}) {
    if (first < count) {
      let scale = ofHalf + ${P} * block;
      let mean = scale + ${P} * blocks;
      codeHalf(
        vec3i(at0.x / 4, at0.y, block),
        p.width / 4,
        between[scale],
        between[scale + 2],
        between[mean],
        between[mean + 2],
      );
    }
  }
#end
}
