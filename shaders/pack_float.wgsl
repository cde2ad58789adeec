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
#include "positions.wgsl"

fn run(at: vec3i) {
  let v = loadAt(source, at);
  let start = tileStart(arrayLength(&data));
#for i in 0..4
  if (4 * at.z + ${i} < p.channels) { data[start + ((4 * at.z + ${i}) * p.height + at.y) * p.width + at.x] = v.${xyzw(i)}; }
#end
}
