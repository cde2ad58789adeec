// 64 symbols + mean, in 1/64, on one half of the checkerboard, base (or zero) on the other.
@group(0) @binding(0) var symbols: texture_2d_array<f32>; // d channels
@group(0) @binding(1) var params: texture_2d_array<f32>; // d scales, d means in 1/64
@group(0) @binding(2) var base: texture_2d_array<f32>; // d channels; or unused
@group(0) @binding(3) var<uniform> p: Params;
@group(0) @binding(4) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  channels: i32, // d
  keep: i32,
  hasBase: i32,
}

#include "texel.wgsl"
#include "channels.wgsl"
#include "checkerboard.wgsl"

fn texel(at: vec3i) -> vec4f {
  var v = vec4f(0.0);
  if (isKept(p.keep, at.x, at.y)) {
    v = 64.0 * loadAt(symbols, at) + loadChannels(params, at.x, at.y, p.channels + 4 * at.z, 2 * p.channels);
  } else if (p.hasBase == 1) {
    v = loadAt(base, at);
  }
  return v;
}
