// Linear attention of integers, step 3: the softmax of each query over the channels of its head, in 2^-12; zero where
// no query counts.
@group(0) @binding(0) var query: texture_2d_array<f32>; // channels / 4, activations
@group(0) @binding(1) var exponentials: texture_2d_array<i32>; // 64 x 64, in x
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4

struct Params {
  width: i32,
  height: i32,
  headGroups: i32, // channels / heads / 4
  keep: i32, // queries that count
}

#include "integer.wgsl"
#include "checkerboard.wgsl"
#include "positions.wgsl"

fn run(at: vec3i) {
  let first = at.z * p.headGroups;
  var largest = vec4i(-2048);
  for (var c = 0; c < p.headGroups; c++) { largest = max(largest, loadSmall(query, at.x, at.y, first + c)); }
  let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
  var sums = vec4i(0);
  for (var c = 0; c < p.headGroups; c++) {
    sums += entries(exponentials, top - loadSmall(query, at.x, at.y, first + c));
  }
  let sum = u32(sums.x + sums.y + sums.z + sums.w);
  let kept = isKept(p.keep, at.x, at.y);
  for (var c = 0; c < p.headGroups; c++) {
    let e = vec4u(entries(exponentials, top - loadSmall(query, at.x, at.y, first + c)));
    let v = ((e << vec4u(12u)) + (sum >> 1u)) / sum;
    store(output, at.x, at.y, first + c, select(vec4f(0.0), vec4f(v), kept));
  }
}
