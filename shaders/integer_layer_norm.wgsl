// Layer norm of integers, a position an invocation; see layer_norm.wgsl.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4, any integers below 2^24
@group(0) @binding(1) var normWeights: texture_2d_array<i32>; // (weight, bias and half a step of the shift, shift) x channel groups
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
#include "layer_norm.wgsl"
#include "positions.wgsl"

fn run(at: vec3i) {
  let groups = (p.channels + 3) / 4;
  var magnitudes = vec4f(0.0);
  for (var c = 0; c < groups; c++) { magnitudes = max(magnitudes, abs(load(source, at.x, at.y, c))); }
  let scaling = scalingOf(magnitudes);
  var sums = vec4i(0);
  for (var c = 0; c < groups; c++) { sums += scaled(loadInteger(source, at.x, at.y, c), scaling); }
  let mean = meanOf(total(sums), p.channels);
  var squares = vec4i(0);
  for (var c = 0; c < groups; c++) {
    squares += squaresOf(scaled(loadInteger(source, at.x, at.y, c), scaling), mean, c, p.channels);
  }
  let reciprocal = reciprocalOf(spreadOf(squares), scaling, p.epsilon);
  for (var c = 0; c < groups; c++) {
    let x = scaled(loadInteger(source, at.x, at.y, c), scaling);
    store(output, at.x, at.y, c, vec4f(normed(x, mean, reciprocal, c)));
  }
}
