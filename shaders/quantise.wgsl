// y - mean / 64 rounded, with the dead zone of its scale, on one half of the checkerboard; zero on the other.
@group(0) @binding(0) var latent: texture_2d_array<f32>; // channels [first, first + d) are y
@group(0) @binding(1) var params: texture_2d_array<f32>; // d scales, d means in 1/64
@group(0) @binding(2) var indexes: texture_2d_array<f32>; // d, of the scales
@group(0) @binding(3) var zones: texture_2d_array<f32>; // 64 x 1, a dead zone in each texel
@group(0) @binding(4) var<uniform> p: Params;
@group(0) @binding(5) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  first: i32,
  channels: i32, // d
  keep: i32,
}

#include "texel.wgsl"
#include "channels.wgsl"
#include "checkerboard.wgsl"
#include "symbol.wgsl"

// The dead zones at four indexes.
fn zonesAt(index: vec4f) -> vec4f {
  let i = vec4i(index);
  return vec4f(
  #for k in 0..4
    textureLoad(zones, vec2i(i.${xyzw(k)}, 0), 0, 0).x,
  #end
  );
}

fn texel(at: vec3i) -> vec4f {
  var r = vec4f(0.0);
  if (isKept(p.keep, at.x, at.y)) {
    let c = 4 * at.z;
    let y = loadChannels(latent, at.x, at.y, p.first + c, p.first + p.channels);
    let mean = loadChannels(params, at.x, at.y, p.channels + c, 2 * p.channels);
    let v = y - mean / 64.0;
    let reach = abs(v) + (1.0 - zonesAt(loadAt(indexes, at)));
    r = toSymbol(sign(v) * floor(max(reach, vec4f(0.0))));
  }
  return r;
}
