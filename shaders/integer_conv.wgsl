// Convolution of integers, to the bit. Products are summed in f32 as long as no sum can leave the integers that f32
// holds (the host proves it from the weights), then go into 32 bit integers. Tiles as in conv_tile.wgsl.
@group(0) @binding(0) var source: texture_2d_array<f32>; // input channels / 4, activations
#include "conv_weights.wgsl" // binding 1: weights
@group(0) @binding(2) var scalars: texture_2d_array<i32>; // output blocks x (bias and half a step of the shift, shift)
@group(0) @binding(3) var residual: texture_2d_array<f32>; // shape of output; or unused
@group(0) @binding(4) var<uniform> p: Params;
@group(0) @binding(5) var output: texture_storage_2d_array<rgba32float, write>;
#define TABLE 0
#if TABLE
@group(0) @binding(6) var table: texture_2d_array<i32>; // 64 x 64, in x
#end
#define TABLED 0 // 1: blocks before p.tabledBlocks have the table, the others have none
#define ACTIVATION 0 // 1: the result is stored as activations too
#if ACTIVATION
@group(0) @binding(7) var activation: texture_storage_2d_array<rgba32float, write>;
#end
#define SOURCES 1 // tensors whose channels follow each other; all but the last of whole groups
#for i in 1..SOURCES
@group(0) @binding(${7 + i}) var source${i}: texture_2d_array<f32>;
#end
#define FIRST 0 // group of the source where its channels begin
#define PARTS 1 // or, of a kernel of 1, tensors each of which makes as many of the blocks, by its own weights
#for i in 1..PARTS
@group(0) @binding(${7 + i}) var source${i}: texture_2d_array<f32>;
#end

struct Params {
  width: i32, // of the result before the shuffle
  height: i32,
  blocks: i32, // output blocks of 4 channels
  groups: i32, // input groups of 4 channels
  origin: i32, // texel of tap (0, 0) of position (0, 0), both axes
  run: i32, // tiles between one block and the next in the order of invocations
  exact: i32, // input groups that f32 sums, where K is 1
  keep: i32,
  shuffle: i32,
  least: i32, // the result's range
  most: i32,
  zero: i32, // always, but no compiler knows
  residualLayer: i32, // of the residual, for the first block
#if TABLED
  tabledBlocks: i32,
#end
#if ACTIVATION
  activationShift: i32,
#end
#for i in 1..SOURCES
  begin${i}: i32, // group where each further source begins
#end
#if PARTS > 1
  partBlocks: i32, // blocks of a part; those of an invocation are all of one
#for i in 0..PARTS
  see${i}: i32, // where the source counts, as in checkerboard.wgsl
#end
#end
}

#define T 9 // taps of one input group that f32 sums
#include "activations.wgsl"
#include "conv_tile.wgsl"
#include "checkerboard.wgsl"
#include "exact_integer.wgsl"

alias Sum = vec4i;

struct Scalars {
  bias: vec4i,
  shift: vec4u,
}

fn scalarsOf(block: i32) -> Scalars {
  return Scalars(textureLoad(scalars, vec2i(block, 0), 0, 0), vec4u(textureLoad(scalars, vec2i(block, 1), 0, 0)));
}

// A shift of 31 marks channels that aren't there, whatever their table has at 0.
fn finish(sum: vec4i, scalars: Scalars, x: i32, y: i32, block: i32) {
  let shift = scalars.shift;
  let at = placeOf(x, y, block);
#if TABLE
  var v = entries(table, clamp12(sum >> shift) + 2048);
  v = select(v, vec4i(0), shift == vec4u(31));
#if TABLED
  v = select(clamp12(sum >> shift), v, block < p.tabledBlocks);
#end
#else
  var v = clamp(sum >> shift, vec4i(p.least), vec4i(p.most));
#end
  v = select(vec4i(0), v, isKept(p.keep, at.x, at.y));
#if RES
  v += loadInteger(residual, at.x, at.y, at.z + p.residualLayer);
  v = select(v, clamp12(v), p.most == 2047);
#end
  store(output, at.x, at.y, at.z, vec4f(v));
#if ACTIVATION
  store(activation, at.x, at.y, at.z, activationsOf(v, p.activationShift));
#end
}

#if PARTS > 1
// Four input channels of a part at a place of its texture; zero where they don't count.
fn partAt(part: i32, at: vec2i, position: vec2i, c: i32) -> vec4f {
#for i in 1..PARTS
  if (part == ${i}) {
    return select(vec4f(0.0), textureLoad(source${i}, at, c, 0), isKept(p.see${i}, position.x, position.y));
  }
#end
  return select(vec4f(0.0), textureLoad(source, at, c, 0), isKept(p.see0, position.x, position.y));
}
#end

// Four input channels at a place of the texture.
fn inputAt(x: i32, y: i32, c: i32) -> vec4f {
#if SOURCE_FOLDS > 1
  return foldedTexel(x, y, c);
#else
#for i in 1..SOURCES
  if (c >= p.begin${SOURCES - i}) { return textureLoad(source${SOURCES - i}, vec2i(x, y), c - p.begin${SOURCES - i}, 0); }
#end
  return textureLoad(source, vec2i(x, y), c + ${FIRST}, 0);
#end
}

@compute @workgroup_size(${GROUP})
fn integerConv(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
#include "conv_begin.wgsl"
#if K == 1
  for (var first = 0; first < p.groups; first += p.exact) {
#for o in 0..TO
#for j in 0..TX * TY
    var s${o}_${j} = vec4f(0.0);
#end
#end
    for (var c = first + share; c < min(first + p.exact, p.groups); c += ${SPLIT}) {
#for j in 0..TX * TY
#if PARTS > 1
      let i${j} = partAt(t.block / p.partBlocks, vec2i(px + ${j % TX}, py + ${j / TX}), vec2i(t.x + ${j % TX}, t.y + ${j / TX}), c);
#else
      let i${j} = inputAt(px + ${j % TX * S}, py + ${j / TX * S}, c);
#end
#end
#for o in 0..TO
#for k in 0..4
      let w${o}_${k} = weight(${k}, c, t.block + ${o});
#end
#for j in 0..TX * TY
#for ic in 0..4
      s${o}_${j} = fma(vec4f(i${j}.${xyzw(ic)}), w${o}_${ic}, s${o}_${j});
#end
#end
#end
    }
#for o in 0..TO
#for j in 0..TX * TY
    a${o}_${j} += exactInteger(s${o}_${j});
#end
#end
  }
#else
  for (var c = share; c < p.groups; c += ${SPLIT}) {
#for y in 0..TY * S - S + K
#for x in 0..TX * S - S + K
    let i${y}_${x} = inputAt(px + ${x}, py + ${y}, c);
#end
#end
#for o in 0..TO
#for k in 0..K * K * 4
    let w${o}_${k} = weight(${k}, c, t.block + ${o});
#end
#for q in 0..TX * TY / R
#for part in 0..(K * K + T - 1) / T
    {
#for r in 0..R
      var s${r} = vec4f(0.0);
#end
#for k in part * T..(part * T + T < K * K) * (part * T + T) + (part * T + T >= K * K) * K * K
#for ic in 0..4
#for r in 0..R
      s${r} = fma(vec4f(i${(q * R + r) / TX * S + k / K}_${(q * R + r) % TX * S + k % K}.${xyzw(ic)}), w${o}_${k * 4 + ic}, s${r});
#end
#end
#end
#for r in 0..R
      a${o}_${q * R + r} += exactInteger(s${r});
#end
    }
#end
#end
#end
  }
#end
#include "conv_end.wgsl"
}
