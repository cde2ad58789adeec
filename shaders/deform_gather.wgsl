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

fn offset(x: i32, y: i32, channel: i32) -> f32 {
  return load(offsets, x, y, channel / 4)[channel % 4];
}

fn run(at: vec3i) {
  let tap = at.z % 9;
  let part = at.z / 9;
  let first = p.firstOffset + part * p.offsetChannels;
  let logit = offset(at.x, at.y, first + 18 + tap);
  let mask = 1.0 / (1.0 + exp(-clamp(logit, -80.0, 80.0)));
  // Any sample a texel or more outside is zero, so far ones may be drawn nearer: the integer conversion stays in range.
  let row = clamp(f32(at.y * p.stride + tap / 3 - 1) + offset(at.x, at.y, first + tap), -2.0, f32(p.sourceHeight) + 1.0);
  let column = clamp(f32(at.x * p.stride + tap % 3 - 1) + offset(at.x, at.y, first + 9 + tap), -2.0, f32(p.sourceWidth) + 1.0);
  let y = i32(floor(row));
  let x = i32(floor(column));
  let fy = row - floor(row);
  let fx = column - floor(column);
  // The border of the texture is zero, but narrower than the reach of x + 1.
  let inside = y >= -1 && y < p.sourceHeight && x >= -1 && x < p.sourceWidth;
  let gain = select(0.0, mask, inside);
  let w00 = gain * (1.0 - fy) * (1.0 - fx);
  let w01 = gain * (1.0 - fy) * fx;
  let w10 = gain * fy * (1.0 - fx);
  let w11 = gain * fy * fx;
  let cx = clamp(x, -1, p.sourceWidth);
  let cy = clamp(y, -1, p.sourceHeight);
  for (var c = 0; c < p.groups; c++) {
    let layer = part * p.groups + c;
    let v = w00 * load(source, cx, cy, layer) + w01 * load(source, cx + 1, cy, layer)
      + w10 * load(source, cx, cy + 1, layer) + w11 * load(source, cx + 1, cy + 1, layer);
    store(output, at.x, at.y, at.z * p.groups + c, v);
  }
}
