// Nearest integer, ties to even, within int16.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
}

#include "tensor.wgsl"
#include "symbol.wgsl"

@compute @workgroup_size(8, 8)
fn roundTensor(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  store(output, at.x, at.y, at.z, toSymbol(load(source, at.x, at.y, at.z)));
}
