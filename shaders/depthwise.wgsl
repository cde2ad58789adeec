// 3x3 convolution of every channel by itself.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var weights: texture_2d_array<f32>; // 9 taps, then bias x channel groups
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
}

#include "tensor.wgsl"
#include "activation.wgsl"

@compute @workgroup_size(8, 8)
fn depthwise(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  var sum = textureLoad(weights, vec2i(9, at.z), 0, 0);
#for k in 0..9
  sum = fma(load(source, at.x + ${k % 3 - 1}, at.y + ${k / 3 - 1}, at.z), textureLoad(weights, vec2i(${k}, at.z), 0, 0), sum);
#end
  store(output, at.x, at.y, at.z, activate(sum));
}
