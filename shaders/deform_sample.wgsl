// Where a tap of a deformable convolution reads its source, and what it finds there. The including file has Params, source
// and offsets.

// A place between four texels.
struct Sample {
  at: vec2i, // the upper left of them
  shares: vec4f, // of the upper left, upper right, lower left and lower right one, times the mask
}

fn offset(at: vec2i, channel: i32) -> f32 {
  return load(offsets, at.x, at.y, channel / 4)[channel % 4];
}

// sigmoid(m_k) and s p + tap_k + (dy_k, dx_k); the 27 channels of offsets begin at `first`.
fn sampleOf(at: vec2i, tap: i32, first: i32) -> Sample {
  let logit = offset(at, first + 18 + tap);
  let mask = 1.0 / (1.0 + exp(-clamp(logit, -80.0, 80.0)));
  // Any sample a texel or more outside is zero, so far ones may be drawn nearer: the integer conversion stays in range.
  let row = clamp(f32(at.y * p.stride + tap / 3 - 1) + offset(at, first + tap), -2.0, f32(p.sourceHeight) + 1.0);
  let column = clamp(f32(at.x * p.stride + tap % 3 - 1) + offset(at, first + 9 + tap), -2.0, f32(p.sourceWidth) + 1.0);
  let y = i32(floor(row));
  let x = i32(floor(column));
  let fy = row - floor(row);
  let fx = column - floor(column);
  // The border of the texture is zero, but narrower than the reach of x + 1.
  let inside = y >= -1 && y < p.sourceHeight && x >= -1 && x < p.sourceWidth;
  let gain = select(0.0, mask, inside);
  let shares = vec4f(gain * (1.0 - fy) * (1.0 - fx), gain * (1.0 - fy) * fx, gain * fy * (1.0 - fx), gain * fy * fx);
  return Sample(vec2i(clamp(x, -1, p.sourceWidth), clamp(y, -1, p.sourceHeight)), shares);
}

fn sampled(sample: Sample, layer: i32) -> vec4f {
  let at = sample.at;
  return sample.shares.x * load(source, at.x, at.y, layer) + sample.shares.y * load(source, at.x + 1, at.y, layer)
    + sample.shares.z * load(source, at.x, at.y + 1, layer) + sample.shares.w * load(source, at.x + 1, at.y + 1, layer);
}
