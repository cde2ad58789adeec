// r = round(y - mean / 64) on one half of the checkerboard, zero on the other, within int16.
@group(0) @binding(0) var latent: texture_2d_array<f32>; // channels [first, first + d) are y
@group(0) @binding(1) var params: texture_2d_array<f32>; // d scales, d means in 1/64
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  first: i32,
  channels: i32, // d
  keep: i32,
}

#include "channels.wgsl"
#include "checkerboard.wgsl"
#include "symbol.wgsl"

@compute @workgroup_size(8, 8)
fn quantise(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  var r = vec4f(0.0);
  if (isKept(p.keep, at.x, at.y)) {
    let c = 4 * at.z;
    let y = loadChannels(latent, at.x, at.y, p.first + c, p.first + p.channels);
    let mean = loadChannels(params, at.x, at.y, p.channels + c, 2 * p.channels);
    r = toSymbol(y - mean / 64.0);
  }
  store(output, at.x, at.y, at.z, r);
}
