// Linear attention of integers: context[i][j] = sum over positions of softmax(key_i) value_j, per head; the softmax of
// each key channel is over the positions that count, in 2^-17, zero at the others. A workgroup makes 4 i x 4 j: texels i
// of layer j / 4, i and j counted inside the head.
@group(0) @binding(0) var key: texture_2d_array<f32>; // channels / 4, activations
@group(0) @binding(1) var value: texture_2d_array<f32>; // channels / 4, activations
@group(0) @binding(2) var exponentials: texture_2d_array<i32>; // 64 x 64, in x
@group(0) @binding(3) var<uniform> p: Params;
@group(0) @binding(4) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4, (channels / heads) x 1

struct Params {
  width: i32,
  height: i32,
  headGroups: i32, // channels / heads / 4
  keep: i32, // positions that count
  keyLayer: i32, // where keys and values begin
  valueLayer: i32,
}

#include "integer.wgsl"
#include "checkerboard.wgsl"
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
  let keyLayer = p.keyLayer + j4 / p.headGroups * p.headGroups + i4;
  let positions = p.width * p.height;
  var top = vec4i(-2048);
  for (var at = lane; at < positions; at += ${GROUP}) {
    let x = at % p.width;
    let y = at / p.width;
    if (isKept(p.keep, x, y)) { top = max(top, loadSmall(key, x, y, keyLayer)); }
  }
  top = largestOfAll(top, lane);
  var sum = vec4i(0);
  for (var at = lane; at < positions; at += ${GROUP}) {
    let x = at % p.width;
    let y = at / p.width;
    if (isKept(p.keep, x, y)) { sum += entries(exponentials, top - loadSmall(key, x, y, keyLayer)); }
  }
  // Where no position counts, the sum is 0: dividing by 1 instead is harmless, as no quotient is used.
  let divisor = max(vec4u(sumOfAll(sum, lane)), vec4u(1u));
#for i in 0..4
  var c${i} = vec4i(0);
#end
  for (var at = lane; at < positions; at += ${GROUP}) {
    let x = at % p.width;
    let y = at / p.width;
    let e = vec4u(entries(exponentials, top - loadSmall(key, x, y, keyLayer)));
    let k = select(vec4i(0), vec4i(((e << vec4u(17u)) + (divisor >> vec4u(1u))) / divisor), isKept(p.keep, x, y));
    let v = loadSmall(value, x, y, p.valueLayer + j4);
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
