// Mean of 2x2.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
}

#include "texel.wgsl"

fn texel(at: vec3i) -> vec4f {
  let x = 2 * at.x;
  let y = 2 * at.y;
  let sum = load(source, x, y, at.z) + load(source, x + 1, y, at.z)
    + load(source, x, y + 1, at.z) + load(source, x + 1, y + 1, at.z);
  return 0.25 * sum;
}
