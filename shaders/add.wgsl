// output = source + addend.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var addend: texture_2d_array<f32>; // same shape
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
}

#include "texel.wgsl"

fn texel(at: vec3i) -> vec4f {
  return loadAt(source, at) + loadAt(addend, at);
}
