// Linear attention of integers, step 2: context[i][j] = sum over positions of softmax(key_i) value_j, per head. A
// workgroup makes 4 i x 4 j: texels i of layer j / 4, i and j counted inside the head.
@group(0) @binding(0) var key: texture_2d_array<f32>; // channels / 4, softmax in 2^-17
@group(0) @binding(1) var value: texture_2d_array<f32>; // channels / 4, activations
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4, (channels / heads) x 1

struct Params {
  width: i32,
  height: i32,
  headGroups: i32, // channels / heads / 4
}

#include "integer.wgsl"
#include "lanes.wgsl"

@compute @workgroup_size(${GROUP})
fn linearAttentionContext(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
) {
  let lane = i32(local.x);
  let i4 = i32(workgroup.y);
  let j4 = beginTile(workgroup.z, workgroups); // of all channels
  let keyLayer = j4 / p.headGroups * p.headGroups + i4;
#for i in 0..4
  var c${i} = vec4i(0);
#end
  for (var at = lane; at < p.width * p.height; at += ${GROUP}) {
    let x = at % p.width;
    let y = at / p.width;
    let k = loadSmall(key, x, y, keyLayer);
    let v = loadSmall(value, x, y, j4);
#for i in 0..4
    c${i} += k.${xyzw(i)} * v;
#end
  }
#for i in 0..4
  let sum${i} = sumOfAll(c${i}, lane);
#end
  if (lane == 0) {
#for i in 0..4
    store(output, 4 * i4 + ${i}, 0, j4, vec4f((sum${i} + 1024) >> vec4u(11u)));
#end
  }
}
