// Host floats, channels x height x width, into a tensor.
@group(0) @binding(0) var<storage, read> data: array<f32>;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4

struct Params {
  width: i32,
  height: i32,
  channels: i32,
}

#include "texel.wgsl"

fn texel(at: vec3i) -> vec4f {
  let start = tileStart(arrayLength(&data));
  var v = vec4f(0.0);
#for i in 0..4
  if (4 * at.z + ${i} < p.channels) { v.${xyzw(i)} = data[start + ((4 * at.z + ${i}) * p.height + at.y) * p.width + at.x]; }
#end
  return v;
}
