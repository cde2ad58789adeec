// What lies between the entropy model's parameters and the coder, on one half of the checkerboard, in one go: indexes of
// the scales, symbols, and y_hat that follows from them, in 1/64 and as activations. Symbols and indexes stand in the
// host's buffers in coding order; their texels are nowhere. The including file has what the constants ask for:
//   INDEX: thresholds (see thresholds.wgsl), indexes
//   QUANTISE: latent (channels [first, first + d) are y), zones (64 x 1, a dead zone in each texel), symbols
//   DEQUANTISE: symbols, base (y_hat of the other half; or unused), yHat
//   SEEN: yHatSeen, y_hat's activations
// and in Params height, halfChannels (d), half (1: anchors, 2: the others), first, texels (of thresholds), last,
// start (words before this half's), hasBase, seenShift.
#include "channels.wgsl"
#include "activations.wgsl"
#include "symbol.wgsl"
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
  store(yHat, x, y, layer, value);
#if SEEN
  store(yHatSeen, x, y, layer, activationsOf(vec4i(value), p.seenShift));
#end
}
#end

// The first of the four columns from 4 x on that is of the half; the second is two further.
fn columnOf(x: i32, y: i32) -> i32 {
  return 4 * x + ((y + p.half) & 1);
}

// Four columns, two of them of the half, and four channels. `at`: fours of columns, row, fours of channels; width: of the
// image in fours of columns; scales and means: of both positions of the half.
fn codeHalf(at: vec3i, width: i32, scale0: vec4f, scale1: vec4f, mean0: vec4f, mean1: vec4f) {
  let c = 4 * at.z;
  let isThere = vec4i(0, 1, 2, 3) + c < vec4i(p.halfChannels);
  let x = columnOf(at.x, at.y);
  // The word of both positions in the first channel, and words from one channel to the next.
  let word = p.start + (c * p.height + at.y) * width + at.x;
  let area = p.height * width;
#if INDEX
#for j in 0..2
  let index${j} = select(vec4f(0.0), indexesOf(scale${j}), isThere);
#end
  storeIndexes(word, area, index0, index1, isThere);
#end
#if QUANTISE + DEQUANTISE
  let symbolStart = tileStart(arrayLength(&symbols)) + word;
#end
#if QUANTISE
#for j in 0..2
  let y${j} = loadChannels(latent, x + ${2 * j}, at.y, p.first + c, p.first + p.halfChannels);
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
