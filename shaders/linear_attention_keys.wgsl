// Linear attention of integers, step 1: the softmax of each key channel over the positions that count, in 2^-17; zero
// at the others. A workgroup takes four channels.
@group(0) @binding(0) var key: texture_2d_array<f32>; // channels / 4, activations
@group(0) @binding(1) var exponentials: texture_2d_array<i32>; // 64 x 64, in x
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4

struct Params {
  width: i32,
  height: i32,
  keep: i32, // positions that count
}

#include "integer.wgsl"
#include "checkerboard.wgsl"
#include "lanes.wgsl"

@compute @workgroup_size(${GROUP})
fn linearAttentionKeys(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
) {
  beginTile(workgroup.z, workgroups);
  let lane = i32(local.x);
  let layer = i32(workgroup.y);
  let positions = p.width * p.height;
  var top = vec4i(-2048);
  for (var i = lane; i < positions; i += ${GROUP}) {
    let x = i % p.width;
    let y = i / p.width;
    if (isKept(p.keep, x, y)) { top = max(top, loadSmall(key, x, y, layer)); }
  }
  top = largestOfAll(top, lane);
  var sum = vec4i(0);
  for (var i = lane; i < positions; i += ${GROUP}) {
    let x = i % p.width;
    let y = i / p.width;
    if (isKept(p.keep, x, y)) { sum += entries(exponentials, top - loadSmall(key, x, y, layer)); }
  }
  // Where no position counts, the sum is 0: dividing by 1 instead is harmless, as no quotient is stored.
  let divisor = max(vec4u(sumOfAll(sum, lane)), vec4u(1u));
  for (var i = lane; i < positions; i += ${GROUP}) {
    let x = i % p.width;
    let y = i / p.width;
    let e = vec4u(entries(exponentials, top - loadSmall(key, x, y, layer)));
    let v = ((e << vec4u(17u)) + (divisor >> vec4u(1u))) / divisor;
    store(output, x, y, layer, select(vec4f(0.0), vec4f(v), isKept(p.keep, x, y)));
  }
}
