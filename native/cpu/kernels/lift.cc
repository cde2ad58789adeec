// A lifting step: a small convolutional net on each colour plane.
//
// Rows of the hidden layer live in a ring of three, so that the whole step stays
// in the first-level cache. Vectors run along a row of the image, whichever axis
// the samples pair along: where that is the columns, the weights were transposed
// instead of the image.
#include "cpu/kernels/lift.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// Hidden channels and registers of pixels that accumulate at once.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kHidden = 8;
constexpr int kAcross = 2;
#else
constexpr int kHidden = 4;
constexpr int kAcross = 3;
#endif
static_assert(kAcross * kWidth <= 3 * kLanes, "a block stays inside the padding of a row");

struct Ring {
  float* base;
  ptrdiff_t stride;
  int hidden;

  /// Column 0 of channel h in the slot of row y; y >= -1.
  CLERIC_INLINE float* row(ptrdiff_t y, int h) const { return base + ((y + 3) % 3 * hidden + h) * stride + kLanes; }
};

/// tanh(conv1) of row y from three rows of the filter, `above` the first.
void first_layer(const LiftArgs& a, ptrdiff_t y, const float* above, const Ring& ring) {
  const ptrdiff_t stride = ring.stride;
  const ptrdiff_t width = a.output.width;
  if (y < 0 || y >= a.output.height) {
    for (int h = 0; h < a.hidden; h++) clear(ring.row(y, h) - kLanes, stride);
    return;
  }
  for (int h = 0; h < a.hidden; h += kHidden) {
    for (ptrdiff_t x = 0; x < width; x += kWidth) {
      Floats sum[kHidden];
#pragma GCC unroll 8
      for (int o = 0; o < kHidden; o++) sum[o] = splat(a.bias1[h + o]);
      const float* w = a.weight1 + h;
      for (int t = 0; t < 9; t++, w += a.hidden) {
        const Floats v = load(above + t / 3 * stride + x + t % 3 - 1);
#pragma GCC unroll 8
        for (int o = 0; o < kHidden; o++) sum[o] = multiply_add(v, splat(w[o]), sum[o]);
      }
#pragma GCC unroll 8
      for (int o = 0; o < kHidden; o++) store(ring.row(y, h + o) + x, hyperbolic_tangent(sum[o]));
    }
  }
  for (int h = 0; h < a.hidden; h++) {
    clear(ring.row(y, h) - kLanes, kLanes);
    clear(ring.row(y, h) + width, stride - kLanes - width);
  }
}

/// Adds conv3(tanh(conv2)) of row y to `sums`.
void second_layer(const LiftArgs& a, ptrdiff_t y, const Ring& ring, float* sums) {
  const ptrdiff_t width = a.output.width;
  for (ptrdiff_t x = 0; x < width; x += kAcross * kWidth) {
    for (int h = 0; h < a.hidden; h += kHidden) {
      Floats sum[kAcross][kHidden];
#pragma GCC unroll 3
      for (int n = 0; n < kAcross; n++) {
#pragma GCC unroll 8
        for (int o = 0; o < kHidden; o++) sum[n][o] = splat(a.bias2[h + o]);
      }
      const float* w = a.weight2 + h;
      for (int i = 0; i < a.hidden; i++) {
        for (int ky = 0; ky < 3; ky++) {
          const float* row = ring.row(y + ky - 1, i) + x - 1;
          for (int kx = 0; kx < 3; kx++, w += a.hidden) {
            Floats v[kAcross];
#pragma GCC unroll 3
            for (int n = 0; n < kAcross; n++) v[n] = load(row + kx + n * kWidth);
#pragma GCC unroll 8
            for (int o = 0; o < kHidden; o++) {
              const Floats weight = splat(w[o]);
#pragma GCC unroll 3
              for (int n = 0; n < kAcross; n++) sum[n][o] = multiply_add(v[n], weight, sum[n][o]);
            }
          }
        }
      }
#pragma GCC unroll 3
      for (int n = 0; n < kAcross; n++) {
        Floats total = load(sums + x + n * kWidth);
#pragma GCC unroll 8
        for (int o = 0; o < kHidden; o++) {
          total = multiply_add(hyperbolic_tangent(sum[n][o]), splat(a.weight3[h + o]), total);
        }
        store(sums + x + n * kWidth, total);
      }
    }
  }
}

}  // namespace

void lift(const LiftArgs& a, int item, float* scratch) {
  const ptrdiff_t stride = a.scratch_stride();
  const ptrdiff_t plane = item / a.rows.items();
  const int block = item % a.rows.items();
  const ptrdiff_t first = a.rows.first(block);
  const ptrdiff_t last = a.rows.last(block);
  const Ring ring{scratch, stride, a.hidden};
  // Rows first - 2 .. last + 1 of the filter.
  float* const filter = scratch + 3 * a.hidden * stride;
  float* const sums = filter + (a.rows.per_item + 4) * stride + kLanes;
  const auto filter_at = [&](ptrdiff_t y) { return filter + (y - first + 2) * stride + kLanes; };
  for (ptrdiff_t y = first - 2; y < last + 2; y++) filter_row(a, plane, y, filter_at(y), stride);
  first_layer(a, first - 1, filter_at(first - 2), ring);
  first_layer(a, first, filter_at(first - 1), ring);
  const ptrdiff_t width = a.output.width;
  for (ptrdiff_t y = first; y < last; y++) {
    first_layer(a, y + 1, filter_at(y), ring);
    const float* f = filter_at(y);
    for (ptrdiff_t x = 0; x < width; x += kWidth) store(sums + x, load(f + x) + splat(a.bias3));
    second_layer(a, y, ring, sums);
    sums[0] *= a.first_column_weight();
    sums[width - 1] *= a.last_column_weight();
    const float* target = a.target.data + plane * a.target.channel + y * a.target.row;
    float* out = a.output.data + plane * a.output.channel + y * a.output.row;
    const float weight = a.row_weight(y);
    for (ptrdiff_t x = 0; x < width; x++) out[x] = target[x] + weight * sums[x];
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
