// A tensor into host bytes r, g, b interleaved: 255 times the value, clamped and rounded; an invocation makes one word.
@group(0) @binding(0) var source: texture_2d_array<f32>; // one layer
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read_write> data: array<u32>;

struct Params {
  width: i32,
  height: i32,
}

#include "tensor.wgsl"
#include "grid.wgsl"

fn element(i: i32) -> u32 {
  let position = i / 3;
  if (position >= p.width * p.height) { return 0u; }
  let v = load(source, position % p.width, position / p.width, 0)[i % 3];
  return u32(round(clamp(255.0 * v, 0.0, 255.0)));
}

@compute @workgroup_size(${GROUP})
fn packRgb8(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let i = 4 * linearIndex(id, workgroups);
  beginTile(id.z, workgroups);
  if (i >= 3 * p.width * p.height) { return; }
  data[tileStart(arrayLength(&data)) + i / 4] = element(i) | (element(i + 1) << 8u) | (element(i + 2) << 16u) | (element(i + 3) << 24u);
}
