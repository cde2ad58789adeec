// Layer normalisation over the channels of each position, eps 1e-5.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var weights: texture_2d_array<f32>; // (weight, bias) x channel groups
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  channels: i32,
}

#include "tensor.wgsl"

@compute @workgroup_size(8, 8)
fn layerNorm(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  let groups = (p.channels + 3) / 4;
  var sum = vec4f(0.0);
  for (var c = 0; c < groups; c++) { sum += load(source, at.x, at.y, c); }
  let mean = (sum.x + sum.y + sum.z + sum.w) / f32(p.channels);
  var squares = vec4f(0.0);
  for (var c = 0; c < groups; c++) {
    let d = load(source, at.x, at.y, c) - mean;
    squares += select(vec4f(0.0), d * d, vec4i(0, 1, 2, 3) + 4 * c < vec4i(p.channels));
  }
  let deviation = sqrt((squares.x + squares.y + squares.z + squares.w) / f32(p.channels) + 1e-5);
  for (var c = 0; c < groups; c++) {
    let weight = textureLoad(weights, vec2i(0, c), 0, 0);
    let bias = textureLoad(weights, vec2i(1, c), 0, 0);
    store(output, at.x, at.y, c, fma((load(source, at.x, at.y, c) - mean) / deviation, weight, bias));
  }
}
