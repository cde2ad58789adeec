// Even and odd rows (or columns).
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var even: texture_storage_2d_array<rgba32float, write>;
@group(0) @binding(3) var odd: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32, // of even and odd
  height: i32,
  columns: i32, // 1: split columns
}

#include "tensor.wgsl"
#include "positions.wgsl"

fn run(at: vec3i) {
  let step = vec2i(p.columns, 1 - p.columns);
  let first = at.xy + at.xy * step;
  store(even, at.x, at.y, at.z, load(source, first.x, first.y, at.z));
  store(odd, at.x, at.y, at.z, load(source, first.x + step.x, first.y + step.y, at.z));
}
