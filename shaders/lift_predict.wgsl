// f = factor (v_i + v_{i +- 1}) along the axis, the end repeated, v's last sample weighed: the CDF 9/7 part of a lifting
// step.
@group(0) @binding(0) var source: texture_2d_array<f32>; // up to 4 colours
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  columns: i32, // 1: i counts columns
  neighbour: i32, // 1: v_{i+1}, -1: v_{i-1}
  factor: f32,
  sourceEnd: f32, // what the last sample is multiplied by
}

#include "texel.wgsl"
#include "ends.wgsl"

fn weighed(at: vec2i) -> vec4f {
  return endWeight(at, 1.0, p.sourceEnd) * load(source, at.x, at.y, 0);
}

fn texel(at: vec3i) -> vec4f {
  let step = p.neighbour * vec2i(p.columns, 1 - p.columns);
  let other = clamp(at.xy + step, vec2i(0), vec2i(p.width, p.height) - 1);
  return p.factor * (weighed(at.xy) + weighed(other));
}
