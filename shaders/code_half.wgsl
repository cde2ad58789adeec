// One half of a slice from its parameters to the coder, or from there to y_hat: see half.wgsl. An invocation takes four
// columns, two of the half, and four channels.
#define QUANTISE 0 // 1: symbols are made of the latent; 0: they are the host's
#define INDEX 0 // 1: indexes are made
#define DEQUANTISE 0 // 1: y_hat is made
#define SEEN 0 // 1: its activations too
@group(0) @binding(0) var params: texture_2d_array<f32>; // d scales, d means in 1/64; integers
@group(0) @binding(1) var<uniform> p: Params;
#if INDEX
@group(0) @binding(2) var thresholds: texture_2d_array<f32>;
@group(0) @binding(3) var<storage, read_write> indexes: array<u32>;
#end
#if QUANTISE
@group(0) @binding(4) var latent: texture_2d_array<f32>;
@group(0) @binding(5) var zones: texture_2d_array<f32>;
@group(0) @binding(6) var<storage, read_write> symbols: array<u32>;
#else
#if DEQUANTISE
@group(0) @binding(6) var<storage, read> symbols: array<u32>;
#end
#end
#if DEQUANTISE
@group(0) @binding(7) var base: texture_2d_array<f32>;
@group(0) @binding(8) var yHat: texture_storage_2d_array<rgba32float, write>;
#if SEEN
@group(0) @binding(9) var yHatSeen: texture_storage_2d_array<rgba32float, write>;
#end
#end

struct Params {
  width: i32, // in fours of columns
  height: i32,
  halfChannels: i32,
  half: i32,
  first: i32,
  texels: i32,
  last: i32,
  start: i32,
  hasBase: i32,
  seenShift: i32,
}

#include "half.wgsl"
#include "positions.wgsl"

fn run(at: vec3i) {
  let c = 4 * at.z;
  let x = columnOf(at.x, at.y);
  let d = p.halfChannels;
#for j in 0..2
  let scale${j} = loadChannels(params, x + ${2 * j}, at.y, c, d);
  let mean${j} = loadChannels(params, x + ${2 * j}, at.y, d + c, 2 * d);
#end
  codeHalf(at, p.width, scale0, scale1, mean0, mean1);
}
