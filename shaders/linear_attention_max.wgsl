// Linear attention, step 1: the largest key of each channel over the positions that count.
@group(0) @binding(0) var key: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4, 1 x 1

struct Params {
  width: i32,
  height: i32,
  groups: i32,
  keep: i32,
}

#include "tensor.wgsl"
#include "checkerboard.wgsl"

@compute @workgroup_size(8)
fn linearAttentionMax(@builtin(global_invocation_id) id: vec3u) {
  let group = i32(id.x);
  if (group >= p.groups) { return; }
  var top = vec4f(-3e38);
  for (var y = 0; y < p.height; y++) {
    for (var x = 0; x < p.width; x++) {
      if (isKept(p.keep, x, y)) { top = max(top, load(key, x, y, group)); }
    }
  }
  store(output, 0, 0, group, top);
}
