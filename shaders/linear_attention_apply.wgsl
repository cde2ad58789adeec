// Linear attention of integers, step 4: output_j = sum over the head's channels i of softmax(query)_i context[i][j].
@group(0) @binding(0) var query: texture_2d_array<f32>; // channels / 4, softmax in 2^-12
@group(0) @binding(1) var context: texture_2d_array<f32>; // channels / 4, (channels / heads) x 1
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  headGroups: i32, // channels / heads / 4
  shift: i32,
}

#include "texel.wgsl"
#include "integer.wgsl"

fn texel(at: vec3i) -> vec4f {
  let first = at.z / p.headGroups * p.headGroups;
  var v = vec4i(0);
  for (var c = 0; c < p.headGroups; c++) {
    let q = loadSmall(query, at.x, at.y, first + c);
#for i in 0..4
    v += q.${xyzw(i)} * loadSmall(context, 4 * c + ${i}, 0, at.z);
#end
  }
  let half = (1 << u32(p.shift)) >> 1u;
  return vec4f(clamp12((v + half) >> vec4u(u32(p.shift))));
}
