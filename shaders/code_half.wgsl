// What lies between the entropy model's parameters and the coder, on one half of the checkerboard, in one go: indexes of
// the scales, symbols, and y_hat that follows from them, in 1/64 and as activations. Symbols and indexes stand in the
// host's buffers in coding order; their texels are nowhere. An invocation takes four columns, two of the half, and four
// channels.
#define QUANTISE 0 // 1: symbols are made of the latent; 0: they are the host's
#define INDEX 0 // 1: indexes are made
#define DEQUANTISE 0 // 1: y_hat is made
#define ACTIVATION 0 // 1: its activations too
@group(0) @binding(0) var params: texture_2d_array<f32>; // d scales, d means in 1/64; integers
@group(0) @binding(1) var<uniform> p: Params;
#if INDEX
@group(0) @binding(2) var thresholds: texture_2d_array<f32>; // see scale_indexes.wgsl
@group(0) @binding(3) var<storage, read_write> indexes: array<u32>;
#end
#if QUANTISE
@group(0) @binding(4) var latent: texture_2d_array<f32>; // channels [first, first + d) are y
@group(0) @binding(5) var zones: texture_2d_array<f32>; // 64 x 1, a dead zone in each texel
@group(0) @binding(6) var<storage, read_write> symbols: array<u32>;
#else
#if DEQUANTISE
@group(0) @binding(6) var<storage, read> symbols: array<u32>;
#end
#end
#if DEQUANTISE
@group(0) @binding(7) var base: texture_2d_array<f32>; // y_hat of the other half; or unused
@group(0) @binding(8) var output: texture_storage_2d_array<rgba32float, write>;
#if ACTIVATION
@group(0) @binding(9) var activation: texture_storage_2d_array<rgba32float, write>;
#end
#end

struct Params {
  width: i32, // in fours of columns
  height: i32,
  channels: i32, // d
  half: i32, // 1: anchors, 2: the others
  first: i32,
  texels: i32, // of thresholds
  last: i32,
  start: i32, // words before this half's
  hasBase: i32,
  shift: i32, // of activations
}

#include "channels.wgsl"
#include "activations.wgsl"
#include "symbol.wgsl"
#include "positions.wgsl"

#if INDEX
#include "scale_indexes.wgsl"
#end

#if QUANTISE
fn symbolsOf(y: vec4f, mean: vec4f, index: vec4f) -> vec4f {
  let i = vec4i(index);
  let zone = vec4f(
#for k in 0..4
    textureLoad(zones, vec2i(i.${xyzw(k)}, 0), 0, 0).x,
#end
  );
  let v = y - mean / 64.0;
  let reach = abs(v) + (1.0 - zone);
  return toSymbol(sign(v) * floor(max(reach, vec4f(0.0))));
}
#end

#if DEQUANTISE
fn give(x: i32, y: i32, layer: i32, value: vec4f) {
  store(output, x, y, layer, value);
#if ACTIVATION
  store(activation, x, y, layer, activationsOf(vec4i(value), p.shift));
#end
}
#end

fn run(at: vec3i) {
  let c = 4 * at.z;
  let isThere = vec4i(0, 1, 2, 3) + c < vec4i(p.channels);
  // The first column of the half; the second is two further.
  let x = 4 * at.x + ((at.y + p.half) & 1);
  // The word of both positions in the first channel, and words from one channel to the next.
  let word = p.start + (c * p.height + at.y) * p.width + at.x;
  let area = p.height * p.width;
#for j in 0..2
  let mean${j} = loadChannels(params, x + ${2 * j}, at.y, p.channels + c, 2 * p.channels);
#end
#if INDEX
#for j in 0..2
  let index${j} = select(vec4f(0.0), indexesOf(loadChannels(params, x + ${2 * j}, at.y, c, p.channels)), isThere);
#end
  storeIndexes(word, area, index0, index1, isThere);
#end
#if QUANTISE + DEQUANTISE
  let symbolStart = tileStart(arrayLength(&symbols)) + word;
#end
#if QUANTISE
#for j in 0..2
  let y${j} = loadChannels(latent, x + ${2 * j}, at.y, p.first + c, p.first + p.channels);
  let symbol${j} = select(vec4f(0.0), symbolsOf(y${j}, mean${j}, index${j}), isThere);
#end
#for k in 0..4
  if (isThere.${xyzw(k)}) {
    let low = u32(i32(symbol0.${xyzw(k)})) & 0xffffu;
    symbols[symbolStart + ${k} * area] = low | (u32(i32(symbol1.${xyzw(k)})) << 16u);
  }
#end
#else
#if DEQUANTISE
  var symbol0 = vec4f(0.0);
  var symbol1 = vec4f(0.0);
#for k in 0..4
  if (isThere.${xyzw(k)}) {
    let both = i32(symbols[symbolStart + ${k} * area]);
    symbol0.${xyzw(k)} = f32(extractBits(both, 0u, 16u));
    symbol1.${xyzw(k)} = f32(extractBits(both, 16u, 16u));
  }
#end
#end
#end
#if DEQUANTISE
  let other = 4 * at.x + ((at.y + p.half + 1) & 1);
#for j in 0..2
  give(x + ${2 * j}, at.y, at.z, 64.0 * symbol${j} + mean${j});
  var kept${j} = vec4f(0.0);
  if (p.hasBase == 1) { kept${j} = load(base, other + ${2 * j}, at.y, at.z); }
  give(other + ${2 * j}, at.y, at.z, kept${j});
#end
#end
}
