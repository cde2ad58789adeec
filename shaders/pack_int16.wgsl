// A tensor of integers into host int16, channels x height x width, two a word; an invocation makes one word.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read_write> data: array<u32>;

struct Params {
  width: i32,
  height: i32,
  elements: i32,
}

#include "tensor.wgsl"
#include "grid.wgsl"

fn element(i: i32) -> u32 {
  if (i >= p.elements) { return 0u; }
  let x = i % p.width;
  let y = i / p.width % p.height;
  let c = i / (p.width * p.height);
  return u32(i32(round(load(source, x, y, c / 4)[c % 4]))) & 0xffffu;
}

@compute @workgroup_size(${GROUP})
fn packInt16(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let i = 2 * linearIndex(id, workgroups);
  if (i >= p.elements) { return; }
  data[i / 2] = element(i) | (element(i + 1) << 16u);
}
