#include "conv_place.wgsl"
#include "grid.wgsl"
// A convolution as register tiles: an invocation, or SPLIT of them together, makes TX x TY positions x TO blocks of 4
// channels, one group of 4 input channels at a time. The including file has:
//   Params
//   Sum: the type of the sums of a block
//   Scalars, and scalarsOf(block): what belongs to the four outputs of a block, `bias` among it
//   finish(sum, scalars, x, y, block): makes a result of a sum and stores it
#define K 3 // kernel
#define S 1 // stride
#define TX 8
#define TY 4
#define TO 1
#define R 2 // positions at a time, so that their sums stay in registers over all taps
#define SPLIT 1 // invocations of a workgroup that share a tile, each taking one of SPLIT input groups
#define RES 0 // 1: a residual is added

// The tile of an invocation: TX x TY positions from (x, y) on, TO blocks of 4 channels from `block` on.
struct Tile {
  x: i32,
  y: i32,
  block: i32,
  exists: bool,
}

// In a workgroup the first share of all tiles comes first, then the second.
fn tileNumber(i: i32) -> i32 {
#if SPLIT > 1
  return i / ${GROUP} * ${GROUP / SPLIT} + i % ${GROUP / SPLIT};
#else
  return i;
#end
}

// Runs of neighbouring tiles, and for each run all blocks: the run's input stays in the cache.
fn tileOf(i: i32) -> Tile {
  let tilesX = (p.width + ${TX - 1}) / ${TX};
  let tiles = tilesX * ((p.height + ${TY - 1}) / ${TY});
  let rounds = (p.blocks + ${TO - 1}) / ${TO};
  let within = i % (p.run * rounds);
  let tile = i / (p.run * rounds) * p.run + within % p.run;
  let exists = tile < tiles;
  // An invocation beyond the last tile reads the first row, as it has to wait at the barrier with the others.
  return Tile(tile % tilesX * ${TX}, select(0, tile / tilesX * ${TY}, exists), within / p.run * ${TO}, exists);
}

// The weights from tap and input channel k of a group to the four outputs of a block.
fn weight(k: i32, group: i32, block: i32) -> vec4f {
#if HALF_WEIGHTS
  let halves = weights[(block * p.groups + group) * ${K * K * 4} + k];
  return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y));
#else
#if BUFFER
  return weights[(block * p.groups + group) * ${K * K * 4} + k];
#else
  return textureLoad(weights, vec2i(k, group), block, 0);
#end
#end
}

#if SPLIT > 1
var<workgroup> parts: array<Sum, ${GROUP * TX * TY * TO}>;
#end
