// DCNv2: the nine modulated samples of a block of pixels are gathered side by side,
// then multiplied like a 1x1 convolution of nine times the channels.
#include "cpu/kernels/gemm.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// Sigmoid of a pixel's nine logits.
CLERIC_INLINE void modulation(const float* logits, float* out) {
  // 9 logits in 16 lanes; the pixel's padding makes the rest readable.
  alignas(64) float lanes[kLanes];
  for (int i = 0; i < 9; i++) lanes[i] = logits[i];
  for (int i = 9; i < kLanes; i++) lanes[i] = 0;
  for (int i = 0; i < kLanes; i += kWidth) {
    store(out + i, splat(1.0f) / (splat(1.0f) + exponential(-load(lanes + i))));
  }
}

/// The bilinear sample of every channel at (y, x), times `factor`.
CLERIC_INLINE void sample(const View& in, float y, float x, float factor, float* out) {
  // Also false for NaN, so that the conversions below are defined.
  const bool touches = y > -1.0f && y < static_cast<float>(in.height) && x > -1.0f && x < static_cast<float>(in.width);
  const ptrdiff_t channels = in.pixel;
  if (!touches) {
    for (ptrdiff_t c = 0; c < channels; c += kWidth) store(out + c, splat(0.0f));
    return;
  }
  const float fy = __builtin_floorf(y);
  const float fx = __builtin_floorf(x);
  const int y0 = static_cast<int>(fy);
  const int x0 = static_cast<int>(fx);
  const float wy = y - fy;
  const float wx = x - fx;
  // A corner outside the image has weight zero and is read at its neighbour inside.
  const float top = y0 >= 0 ? (1.0f - wy) * factor : 0.0f;
  const float bottom = y0 + 1 < in.height ? wy * factor : 0.0f;
  const float left = x0 >= 0 ? 1.0f - wx : 0.0f;
  const float right = x0 + 1 < in.width ? wx : 0.0f;
  const ptrdiff_t r0 = y0 >= 0 ? y0 : 0;
  const ptrdiff_t r1 = y0 + 1 < in.height ? y0 + 1 : y0;
  const ptrdiff_t c0 = x0 >= 0 ? x0 : 0;
  const ptrdiff_t c1 = x0 + 1 < in.width ? x0 + 1 : x0;
  const float* const a = in.at(r0, c0);
  const float* const b = in.at(r0, c1);
  const float* const c = in.at(r1, c0);
  const float* const d = in.at(r1, c1);
  const Floats wa = splat(top * left);
  const Floats wb = splat(top * right);
  const Floats wc = splat(bottom * left);
  const Floats wd = splat(bottom * right);
  for (ptrdiff_t i = 0; i < channels; i += kWidth) {
    Floats v = wa * load(a + i);
    v = multiply_add(wb, load(b + i), v);
    v = multiply_add(wc, load(c + i), v);
    v = multiply_add(wd, load(d + i), v);
    store(out + i, v);
  }
}

}  // namespace

void deform(const DeformArgs& args, int item, float* scratch) {
  const MatrixArgs& m = args.matrix;
  const int y = item / args.blocks();
  const int x0 = item % args.blocks() * args.block;
  const int x1 = x0 + args.block < m.width ? x0 + args.block : m.width;
  const View& in = args.input;
  float* column = scratch;
  for (int x = x0; x < x1; x++) {
    const float* offsets = args.offsets.at(y, x);
    alignas(64) float modulations[kLanes];
    modulation(offsets + 18, modulations);
    for (int tap = 0; tap < 9; tap++, column += in.pixel) {
      const float sy = static_cast<float>(y * args.stride + tap / 3 - 1) + offsets[tap];
      const float sx = static_cast<float>(x * args.stride + tap % 3 - 1) + offsets[9 + tap];
      sample(in, sy, sx, modulations[tap], column);
    }
  }
  Run runs[9];
  for (int i = 0; i < 9; i++) runs[i] = {scratch + i * in.pixel, 0, 9 * in.pixel, in.channels};
  for (int p = 0; p < m.panel_count; p++) panel_pixels(m, runs, 9, m.panels[p], y, x0, x1, x0, column);
}

}  // namespace cleric::cpu::CLERIC_ISA
