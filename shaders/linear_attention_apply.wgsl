// Linear attention of integers: output_j = sum over the head's channels i of softmax(query)_i context[i][j]; the softmax
// is over the channels of the head, in 2^-12. Zero where no query counts.
@group(0) @binding(0) var query: texture_2d_array<f32>; // channels / 4, activations
@group(0) @binding(1) var context: texture_2d_array<f32>; // channels / 4, (channels / heads) x 1
@group(0) @binding(2) var exponentials: texture_2d_array<i32>; // 64 x 64, in x
@group(0) @binding(3) var<uniform> p: Params;
@group(0) @binding(4) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  headGroups: i32, // channels / heads / 4
  shift: i32,
  keep: i32, // queries that count
}

#include "texel.wgsl"
#include "integer.wgsl"
#include "checkerboard.wgsl"

fn texel(at: vec3i) -> vec4f {
  let first = at.z / p.headGroups * p.headGroups;
  if (!isKept(p.keep, at.x, at.y)) { return vec4f(0.0); }
  var largest = vec4i(-2048);
  for (var c = 0; c < p.headGroups; c++) { largest = max(largest, loadSmall(query, at.x, at.y, first + c)); }
  let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
  var sums = vec4i(0);
  for (var c = 0; c < p.headGroups; c++) {
    sums += entries(exponentials, top - loadSmall(query, at.x, at.y, first + c));
  }
  let sum = u32(sums.x + sums.y + sums.z + sums.w);
  var v = vec4i(0);
  for (var c = 0; c < p.headGroups; c++) {
    let e = vec4u(entries(exponentials, top - loadSmall(query, at.x, at.y, first + c)));
    let q = vec4i(((e << vec4u(12u)) + (sum >> 1u)) / sum);
#for i in 0..4
    v += q.${xyzw(i)} * loadSmall(context, 4 * c + ${i}, 0, at.z);
#end
  }
  let half = (1 << u32(p.shift)) >> 1u;
  return vec4f(clamp12((v + half) >> vec4u(u32(p.shift))));
}
