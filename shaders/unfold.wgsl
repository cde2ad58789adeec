// The K x K texels under each position of a convolution of stride K, as channels: groups of tap 0, tap 1 ...
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4, K times as wide and high
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>; // K K x channels / 4

struct Params {
  width: i32, // of the output
  height: i32,
  groups: i32,
  kernel: i32,
}

#include "texel.wgsl"

fn texel(at: vec3i) -> vec4f {
  let tap = at.z / p.groups;
  let x = at.x * p.kernel + tap % p.kernel;
  let y = at.y * p.kernel + tap / p.kernel;
  return load(source, x, y, at.z % p.groups);
}
