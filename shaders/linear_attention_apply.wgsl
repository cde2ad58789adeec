// Linear attention, step 3: output_j = sum over i of softmax over the head's channels(query)_i context[i][j].
@group(0) @binding(0) var query: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var context: texture_2d_array<f32>; // channels / 4, (channels / heads) x 1
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  headGroups: i32, // channels / heads / 4
  keep: i32, // queries that count; zero elsewhere
}

#include "tensor.wgsl"
#include "checkerboard.wgsl"

@compute @workgroup_size(8, 8)
fn linearAttentionApply(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  if (!isKept(p.keep, at.x, at.y)) {
    store(output, at.x, at.y, at.z, vec4f(0.0));
    return;
  }
  let first = at.z / p.headGroups * p.headGroups;
  var largest = vec4f(-3e38);
  for (var c = 0; c < p.headGroups; c++) { largest = max(largest, load(query, at.x, at.y, first + c)); }
  let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
  var sum = vec4f(0.0);
  var v = vec4f(0.0);
  for (var c = 0; c < p.headGroups; c++) {
    let e = exp(load(query, at.x, at.y, first + c) - top);
    sum += e;
#for i in 0..4
    v = fma(vec4f(e.${xyzw(i)}), load(context, 4 * c + ${i}, 0, at.z), v);
#end
  }
  store(output, at.x, at.y, at.z, v / (sum.x + sum.y + sum.z + sum.w));
}
