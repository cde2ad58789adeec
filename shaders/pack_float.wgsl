// A tensor into host floats, channels x height x width.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read_write> data: array<f32>;

struct Params {
  width: i32,
  height: i32,
  channels: i32,
}

#include "tensor.wgsl"

@compute @workgroup_size(8, 8)
fn packFloat(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  let v = load(source, at.x, at.y, at.z);
#for i in 0..4
  if (4 * at.z + ${i} < p.channels) { data[((4 * at.z + ${i}) * p.height + at.y) * p.width + at.x] = v.${xyzw(i)}; }
#end
}
