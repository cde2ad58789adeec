// Layer norm of integers over the channels of each position. The vector is brought to 12 bits, its mean subtracted in
// quarters, its norm's reciprocal found by a table and one Newton step: nothing here can leave 32 bits.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4, any integers below 2^24
@group(0) @binding(1) var weights: texture_2d_array<i32>; // (weight, bias and half a step of the shift, shift) x channel groups
@group(0) @binding(2) var rsqrt: texture_2d_array<i32>; // 384 entries, in x
@group(0) @binding(3) var<uniform> p: Params;
@group(0) @binding(4) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  channels: i32,
  epsilon: i32, // added to the variance
}

#include "integer.wgsl"
#include "positions.wgsl"

fn total(v: vec4i) -> i32 {
  return v.x + v.y + v.z + v.w;
}

fn bits(v: u32) -> i32 {
  return 32 - i32(countLeadingZeros(v));
}

fn run(at: vec3i) {
  let groups = (p.channels + 3) / 4;
  // Taken in floats, which hold these integers: of max(m, abs(integer)) NVIDIA's driver 580 leaves out abs on Hopper.
  var magnitudes = vec4f(0.0);
  for (var c = 0; c < groups; c++) { magnitudes = max(magnitudes, abs(load(source, at.x, at.y, c))); }
  let largest = u32(max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w)));
  // To 11 bits and a sign: x' = (factor x + half) >> right.
  let excess = bits(largest) - 11;
  let right = u32(max(excess, 0));
  let half = (1 << right) >> 1u;
  let factor = 1 << u32(max(-excess, 0));
  var sums = vec4i(0);
  for (var c = 0; c < groups; c++) {
    sums += (factor * loadInteger(source, at.x, at.y, c) + half) >> vec4u(right);
  }
  // Channels that aren't there are zero, and count for nothing. The sum is taken from 0 on for the division.
  let count = u32(p.channels);
  let mean = i32((4u * u32(total(sums) + 2048 * p.channels) + (count >> 1u)) / count) - 8192;
  var squares = vec4i(0);
  for (var c = 0; c < groups; c++) {
    let x = (factor * loadInteger(source, at.x, at.y, c) + half) >> vec4u(right);
    let u = select(vec4i(0), 4 * x - mean, vec4i(0, 1, 2, 3) + 4 * c < vec4i(p.channels));
    squares += (u * u + 8) >> vec4u(4u);
  }
  // In u32, as each of the four parts is below 2^31, but not their sum.
  let spread = u32(squares.x) + u32(squares.y) + u32(squares.z) + u32(squares.w);
  let scale = 10 + 2 * excess;
  let variance = spread + ((u32(p.epsilon) << u32(max(-scale, 0))) >> u32(clamp(scale, 0, 31)));
  // W = variance 4^-t, in [2^14, 2^16); 0 for a variance of 0.
  let t = (bits(variance) - 15) >> 1u;
  let w = (variance >> u32(max(2 * t, 0))) << u32(max(-2 * t, 0));
  let g0 = u32(textureLoad(rsqrt, vec2i(clamp(i32(w >> 7u) - 128, 0, 383), 0), 0, 0).x);
  let newton = (w * ((g0 * g0) >> 16u)) >> 16u;
  let g = i32((g0 * (49152u - newton)) >> 15u);
  let fine = u32(t + 11);
  let fineHalf = (1 << fine) >> 1u;
  for (var c = 0; c < groups; c++) {
    let x = (factor * loadInteger(source, at.x, at.y, c) + half) >> vec4u(right);
    let n = select((g * (4 * x - mean) + fineHalf) >> vec4u(fine), vec4i(0), variance == 0u);
    let weight = textureLoad(weights, vec2i(0, c), 0, 0);
    let bias = textureLoad(weights, vec2i(1, c), 0, 0);
    let shift = vec4u(textureLoad(weights, vec2i(2, c), 0, 0));
    store(output, at.x, at.y, c, vec4f(clamp12((n * weight + bias) >> shift)));
  }
}
