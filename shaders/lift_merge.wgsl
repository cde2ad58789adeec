// Interleaves even and odd rows (or columns).
@group(0) @binding(0) var even: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var odd: texture_2d_array<f32>;
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32, // of even and odd
  height: i32,
  columns: i32, // 1: interleave columns
}

#include "tensor.wgsl"
#include "positions.wgsl"

fn run(at: vec3i) {
  let step = vec2i(p.columns, 1 - p.columns);
  let first = at.xy + at.xy * step;
  store(output, first.x, first.y, at.z, loadAt(even, at));
  store(output, first.x + step.x, first.y + step.y, at.z, loadAt(odd, at));
}
