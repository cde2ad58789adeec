// The number of thresholds below the scale, at most `last`, on one half of the checkerboard; zero on the other.
@group(0) @binding(0) var params: texture_2d_array<f32>; // d scales, d means; integers
@group(0) @binding(1) var thresholds: texture_2d_array<f32>; // entries / 4 x 1, padded with one out of reach
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  channels: i32, // d
  keep: i32,
  texels: i32, // of the thresholds
  last: i32,
}

#include "texel.wgsl"
#include "channels.wgsl"
#include "checkerboard.wgsl"
#include "thresholds.wgsl"

fn texel(at: vec3i) -> vec4f {
  var index = vec4f(0.0);
  if (isKept(p.keep, at.x, at.y)) {
    let scale = loadChannels(params, at.x, at.y, 4 * at.z, p.channels);
    index = select(vec4f(0.0), indexesOf(scale), vec4i(0, 1, 2, 3) + 4 * at.z < vec4i(p.channels));
  }
  return index;
}
