// source on one half of the checkerboard, zero on the other.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  keep: i32,
}

#include "texel.wgsl"
#include "checkerboard.wgsl"

fn texel(at: vec3i) -> vec4f {
  var v = loadAt(source, at);
  if (!isKept(p.keep, at.x, at.y)) { v = vec4f(0.0); }
  return v;
}
