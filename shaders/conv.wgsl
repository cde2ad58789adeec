#define SHUFFLE 0
#if SHUFFLE
enable subgroups;
#end
// Convolution as register tiles, see conv_tile.wgsl. GDN = 1: the 1x1 sum over squares that divides (or multiplies) the
// input instead. SHUFFLE = 1, of stride 1: the columns that a tile shares with the one to its right come from the
// invocation that has that one, if it is in the same subgroup, instead of being read twice.
#include "tensor.wgsl"
@group(0) @binding(0) var source: texture_2d_array<f32>; // input channels / 4
#define PARTS 1 // into how many the channels are divided, each convolved by itself
#include "conv_weights.wgsl" // binding 1: weights
@group(0) @binding(2) var bias: texture_2d_array<f32>; // output blocks x 1
@group(0) @binding(3) var residual: texture_2d_array<f32>; // shape of output; or unused
@group(0) @binding(4) var<uniform> p: Params;
@group(0) @binding(5) var output: texture_storage_2d_array<rgba${32 - 16 * HALF}float, write>;

struct Params {
  width: i32, // of the result before the shuffle
  height: i32,
  blocks: i32, // output blocks of 4 channels
  groups: i32, // input groups of 4 channels
  origin: i32, // texel of tap (0, 0) of position (0, 0), both axes
  run: i32, // tiles between one block and the next in the order of invocations
  shuffle: i32,
  inverse: i32, // GDN: multiply
#if PARTS > 1
  partBlocks: i32, // output blocks of a part; those of an invocation are all of one
#end
}

#define GDN 0
#include "activation.wgsl"
#include "conv_tile.wgsl"

alias Sum = vec4f;

struct Scalars {
  bias: vec4f,
}

fn scalarsOf(block: i32) -> Scalars {
  return Scalars(textureLoad(bias, vec2i(block, 0), 0, 0));
}

// Software adapters compute both sides of an `if`, so what an epilogue does is settled by constants.
fn finish(sum: vec4f, scalars: Scalars, x: i32, y: i32, block: i32) {
  let at = placeOf(x, y, block);
#if GDN
  let root = sqrt(sum);
  var v = load(source, x, y, min(block, p.blocks - 1)) * select(1.0 / root, root, p.inverse == 1);
#else
  var v = activate(sum);
#end
#if RES
  v += load(residual, at.x, at.y, at.z);
#end
  store(output, at.x, at.y, at.z, v);
}

@compute @workgroup_size(${GROUP})
fn conv(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
#if SHUFFLE
  @builtin(subgroup_invocation_id) place: u32,
  @builtin(subgroup_size) places: u32,
#end
) {
#include "conv_begin.wgsl"
#if PARTS > 1
  let part = min(t.block, p.blocks - 1) / p.partBlocks * p.groups;
#else
  let part = 0;
#end
#if SHUFFLE
  let right = tileOf(tileNumber(index) + 1);
  let isBeside = right.exists && right.block == t.block && all(vec2i(right.x, right.y) == vec2i(t.x + ${TX}, t.y));
  let isSameShare = (index + 1) % ${GROUP / SPLIT} != 0;
  let next = subgroupShuffleDown(index, 1);
  let isThere = place + 1 < places && next == index + 1;
  let isShared = isBeside && isSameShare && isThere;
  // As many rounds for all, as a subgroup may have several shares, and all of it is to shuffle.
  for (var begin = 0; begin < p.groups; begin += ${SPLIT}) {
    let c = min(begin + share, p.groups - 1);
#else
  for (var c = share; c < p.groups; c += ${SPLIT}) {
#end
    let layer = part + c;
#for y in 0..TY * S - S + K
#for x in 0..TX * S - S + K
#if SHUFFLE && x >= TX
    var i${y}_${x} = subgroupShuffleDown(i${y}_${x - TX}, 1);
#else
#if GDN
    let r${y}_${x} = textureLoad(source, vec2i(px + ${x}, py + ${y}), layer, 0);
    let i${y}_${x} = r${y}_${x} * r${y}_${x};
#else
#if SOURCE_FOLDS > 1
    let i${y}_${x} = foldedTexel(px + ${x}, py + ${y}, layer);
#else
    let i${y}_${x} = textureLoad(source, vec2i(px + ${x}, py + ${y}), layer, 0);
#end
#end
#end
#end
#end
#if SHUFFLE
    if (!isShared) {
#for y in 0..TY - 1 + K
#for x in TX..TX - 1 + K
      i${y}_${x} = textureLoad(source, vec2i(px + ${x}, py + ${y}), layer, 0);
#end
#end
    }
    if (begin + share < p.groups) {
#end
#for o in 0..TO
#for k in 0..K * K * 4
    let w${o}_${k} = weight(${k}, c, t.block + ${o});
#end
#for q in 0..TX * TY / R
#for k in 0..K * K
#for ic in 0..4
#for r in 0..R
    a${o}_${q * R + r} = fma(vec4f(i${(q * R + r) / TX * S + k / K}_${(q * R + r) % TX * S + k % K}.${xyzw(ic)}), w${o}_${k * 4 + ic}, a${o}_${q * R + r});
#end
#end
#end
#end
#end
#if SHUFFLE
    }
#end
  }
#include "conv_end.wgsl"
}
