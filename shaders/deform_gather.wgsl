// DCNv2's samples: sigmoid(m_k) x(s p + tap_k + (dy_k, dx_k)) for each of the nine taps; a 1x1 convolution sums them.
#include "tensor.wgsl"
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var offsets: texture_2d_array<f32>; // 27 channels: dy, dx, logit, nine of each; of each part
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba${32 - 16 * HALF}float, write>; // 9 x channels / 4: groups of tap 0, tap 1 ...

struct Params {
  width: i32, // of the output
  height: i32,
  sourceWidth: i32,
  sourceHeight: i32,
  groups: i32, // of a part
  stride: i32,
  firstOffset: i32, // channel where the first part's begin
  offsetChannels: i32, // of a part
}

#include "positions.wgsl"
#include "deform_sample.wgsl"

fn run(at: vec3i) {
  let part = at.z / 9;
  let place = sampleOf(at.xy, at.z % 9, p.firstOffset + part * p.offsetChannels);
  for (var c = 0; c < p.groups; c++) {
    store(output, at.x, at.y, at.z * p.groups + c, sampled(place, part * p.groups + c));
  }
}
