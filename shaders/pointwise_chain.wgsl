// Several integer layers with kernels of 1, each on the result of the one before, for a GPU: what lies between them is in
// the workgroup's memory. A workgroup takes P positions, one after the other row by row; an invocation makes results of
// four of them in four channels. Sums as in integer_conv.wgsl.
#define P 16
#define LAYERS 2
#define SOURCES 1 // tensors whose channels follow each other; all but the last of whole groups
#define TABLE0 0 // 1: the layer has a table for its activation
#define TABLE1 0
#define TABLE2 0
#define TABLE3 0
#define RES 0 // 1: the last layer adds a residual
#define ACTIVATION 0 // 1: the result is stored as activations too
#define EVEN 1 // groups of channels between the first layer and the second, or the third and the fourth
#define ODD 1 // between the second and the third
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var residual: texture_2d_array<f32>; // or unused
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;
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
#end
#if ACTIVATION
  activationShift: i32,
#end
#for i in 1..SOURCES
  begin${i}: i32, // group where each further source begins
#end
}

#include "integer.wgsl"
#include "exact_integer.wgsl"
#include "checkerboard.wgsl"

var<workgroup> even: array<vec4f, ${P * EVEN}>;
#if LAYERS > 2
var<workgroup> odd: array<vec4f, ${P * ODD}>;
#end

fn inputAt(at: vec2i, c: i32) -> vec4f {
#for i in 1..SOURCES
  if (c >= p.begin${SOURCES - i}) { return load(source${SOURCES - i}, at.x, at.y, c - p.begin${SOURCES - i}); }
#end
  return load(source0, at.x, at.y, c);
}

fn finish(v: vec4i, at: vec2i, block: i32) {
  var result = select(vec4i(0), clamp(v, vec4i(p.least), vec4i(p.most)), isKept(p.keep, at.x, at.y));
#if RES
  result += loadInteger(residual, at.x, at.y, block);
  result = select(result, clamp12(result), p.most == 2047);
#end
  store(output, at.x, at.y, block, vec4f(result));
#if ACTIVATION
  let half = (1 << u32(p.activationShift)) >> 1u;
  store(activation, at.x, at.y, block, vec4f(clamp12((result + half) >> vec4u(u32(p.activationShift)))));
#end
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
#if l == 0
        let i${j} = inputAt(at${j}, c);
#else
#if l % 2 == 1
        let i${j} = even[${P} * c + 4 * quad + ${j}];
#else
        let i${j} = odd[${P} * c + 4 * quad + ${j}];
#end
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
    if (first + ${j} < count) { finish(v${j}, at${j}, block); }
#else
#if l % 2 == 0
    even[${P} * block + 4 * quad + ${j}] = vec4f(clamp12(v${j}));
#else
    odd[${P} * block + 4 * quad + ${j}] = vec4f(clamp12(v${j}));
#end
#end
#end
  }
#if l < LAYERS - 1
  workgroupBarrier();
#end
#end
}
