// Integers to activations, by a shift that rounds.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  shift: i32,
}

#include "texel.wgsl"
#include "activations.wgsl"

fn texel(at: vec3i) -> vec4f {
  return activationsOf(loadInteger(source, at.x, at.y, at.z), p.shift);
}
