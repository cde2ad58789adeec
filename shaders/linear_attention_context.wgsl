// Linear attention, step 2: context[i][j] = sum over positions of softmax(key_i) value_j, per head. An invocation makes
// 4 i x 4 j: texels i of layer j / 4, i and j counted inside the head.
@group(0) @binding(0) var key: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var value: texture_2d_array<f32>; // channels / 4
@group(0) @binding(2) var top: texture_2d_array<f32>; // channels / 4, 1 x 1
@group(0) @binding(3) var<uniform> p: Params;
@group(0) @binding(4) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4, (channels / heads) x 1

struct Params {
  width: i32,
  height: i32,
  groups: i32,
  headGroups: i32, // channels / heads / 4
  keep: i32,
}

#include "tensor.wgsl"
#include "checkerboard.wgsl"

@compute @workgroup_size(8)
fn linearAttentionContext(@builtin(global_invocation_id) id: vec3u) {
  let i4 = i32(id.x) % p.headGroups;
  let j4 = i32(id.x) / p.headGroups; // of all channels
  if (j4 >= p.groups) { return; }
  let keyGroup = j4 / p.headGroups * p.headGroups + i4;
  let largest = load(top, 0, 0, keyGroup);
  var sum = vec4f(0.0);
#for i in 0..4
  var c${i} = vec4f(0.0);
#end
  for (var y = 0; y < p.height; y++) {
    for (var x = 0; x < p.width; x++) {
      if (isKept(p.keep, x, y)) {
        let e = exp(load(key, x, y, keyGroup) - largest);
        let v = load(value, x, y, j4);
        sum += e;
#for i in 0..4
        c${i} = fma(vec4f(e.${xyzw(i)}), v, c${i});
#end
      }
    }
  }
#for i in 0..4
  store(output, 4 * i4 + ${i}, 0, j4, c${i} / sum.${xyzw(i)});
#end
}
