// Host int16, channels x height x width, two a word, into a tensor.
@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4

struct Params {
  width: i32,
  height: i32,
  channels: i32,
}

#include "texel.wgsl"

fn element(i: i32) -> f32 {
  return f32(extractBits(i32(data[i / 2]), u32(i % 2) * 16u, 16u));
}

fn texel(at: vec3i) -> vec4f {
  var v = vec4f(0.0);
#for i in 0..4
  if (4 * at.z + ${i} < p.channels) { v.${xyzw(i)} = element(((4 * at.z + ${i}) * p.height + at.y) * p.width + at.x); }
#end
  return v;
}
