// Conv3x3 by Winograd's minimal filtering (Lavin and Gray 2015, arXiv 1509.09308), along the rows alone: the image's rows
// stay what the matrix product's runs are, and rounding errors stay small.
//
// Six neighbouring inputs are taken to six points, there multiplied with the filter's and summed over channels and rows
// of taps, and the sums taken back to four outputs.
#include "cpu/kernels/gemm.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

constexpr int kOutputs = WinogradArgs::kOutputs;
constexpr int kPoints = WinogradArgs::kPoints;
/// Tiles whose outputs are finished together.
constexpr int kFinished = 4;

/// What an item works on at a time.
struct Strip {
  /// First row and tile, and how many.
  ptrdiff_t y;
  ptrdiff_t rows;
  ptrdiff_t x;
  ptrdiff_t tiles;
  /// [point][row, from y - 1 on][tile][channel]
  float* points;
  /// [point][row][tile][lane of a panel]
  float* sums;
};

/// The six points of the inputs of a tile, `plane` floats apart.
void to_points(const View& input, ptrdiff_t y, ptrdiff_t x, float* out, ptrdiff_t plane) {
  const float* in = input.at(y, x);
  const Floats four = splat(4.0f);
  for (ptrdiff_t c = 0; c < input.pixel; c += kWidth, in += kWidth, out += kWidth) {
    Floats v[kPoints];
#pragma GCC unroll 6
    for (int i = 0; i < kPoints; i++) v[i] = load(in + i * input.pixel);
    const Floats even4 = multiply_add(-four, v[2], v[4]);
    const Floats odd4 = multiply_add(-four, v[1], v[3]);
    const Floats even1 = v[4] - v[2];
    const Floats odd2 = splat(2.0f) * (v[3] - v[1]);
    store(out, multiply_add(four, v[0], multiply_add(splat(-5.0f), v[2], v[4])));
    store(out + plane, even4 + odd4);
    store(out + 2 * plane, even4 - odd4);
    store(out + 3 * plane, even1 + odd2);
    store(out + 4 * plane, even1 - odd2);
    store(out + 5 * plane, multiply_add(four, v[1], multiply_add(splat(-5.0f), v[3], v[5])));
  }
}

/// The four outputs of a tile, R registers each, from its sums at the points.
template <int R>
CLERIC_INLINE void to_outputs(const float* sums, ptrdiff_t plane, const float* bias, float* out) {
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
    const float* m = sums + r * kWidth;
    const Floats sum1 = load(m + plane) + load(m + 2 * plane);
    const Floats difference1 = load(m + plane) - load(m + 2 * plane);
    const Floats sum2 = load(m + 3 * plane) + load(m + 4 * plane);
    const Floats difference2 = load(m + 3 * plane) - load(m + 4 * plane);
    const Floats b = load(bias + r * kWidth);
    float* const to = out + r * kWidth;
    store(to, ((load(m) + b) + sum1) + sum2);
    store(to + R * kWidth, multiply_add(splat(2.0f), difference2, difference1 + b));
    store(to + 2 * R * kWidth, multiply_add(splat(4.0f), sum2, sum1 + b));
    store(to + 3 * R * kWidth, multiply_add(splat(8.0f), difference2, difference1 + b) + load(m + 5 * plane));
  }
}

template <int R>
void panel_strip(const WinogradArgs& args, const Panel& panel, const Strip& strip) {
  const MatrixArgs& m = args.matrix;
  const ptrdiff_t pixel = args.input.pixel;
  const ptrdiff_t lanes = R * kWidth;
  const ptrdiff_t row = args.strip() * pixel;
  const ptrdiff_t points_plane = (strip.rows + 2) * row;
  const ptrdiff_t sums_plane = strip.rows * args.strip() * lanes;
  alignas(64) const float zeros[kPanelLanes] = {};
  const Product product{m, panel, 0, nullptr};
  for (int i = 0; i < kPoints; i++) {
    const float* weights = panel.weights + i * 3 * args.input.channels * lanes;
    for (ptrdiff_t y = 0; y < strip.rows; y++) {
      const float* above = strip.points + i * points_plane + y * row;
      Run runs[3];
      for (int tap = 0; tap < 3; tap++) runs[tap] = {above + tap * row, 0, pixel, args.input.channels};
      const Pass pass{runs, 3, weights, false};
      float* sums = strip.sums + i * sums_plane + y * args.strip() * lanes;
      all_blocks<R>(product, pass, {0, 0, strip.tiles}, zeros, 0, sums);
    }
  }
  alignas(64) float outputs[kFinished * kOutputs * R * kWidth];
  for (ptrdiff_t y = 0; y < strip.rows; y++) {
    for (ptrdiff_t t = 0; t < strip.tiles; t += kFinished) {
      const ptrdiff_t count = strip.tiles - t < kFinished ? strip.tiles - t : kFinished;
      for (ptrdiff_t i = 0; i < count; i++) {
        const float* sums = strip.sums + (y * args.strip() + t + i) * lanes;
        to_outputs<R>(sums, sums_plane, m.bias + panel.first_lane, outputs + i * kOutputs * lanes);
      }
      const int pixels = static_cast<int>(count) * kOutputs;
      finish<R>(m.epilogue, pixels, strip.y + y, (strip.x + t) * kOutputs, panel.first_lane, outputs);
    }
  }
}

}  // namespace

void winograd(const WinogradArgs& args, int item, float* scratch) {
  const MatrixArgs& m = args.matrix;
  const int block = item / m.rows.items();
  const int rows = item % m.rows.items();
  const int first = block * m.panels_per_item;
  const int last = first + m.panels_per_item < m.panel_count ? first + m.panels_per_item : m.panel_count;
  const ptrdiff_t y = m.rows.first(rows);
  const ptrdiff_t height = m.rows.last(rows) - y;
  const ptrdiff_t row = args.strip() * args.input.pixel;
  for (ptrdiff_t x = 0; x < args.tiles(); x += args.strip()) {
    const ptrdiff_t tiles = args.tiles() - x < args.strip() ? args.tiles() - x : args.strip();
    const ptrdiff_t plane = (height + 2) * row;
    const Strip strip{y, height, x, tiles, scratch, scratch + kPoints * plane};
    for (ptrdiff_t v = 0; v < height + 2; v++) {
      for (ptrdiff_t t = 0; t < tiles; t++) {
        float* out = strip.points + v * row + t * args.input.pixel;
        to_points(args.input, y + v - 1, (x + t) * kOutputs - 1, out, plane);
      }
    }
    for (int p = first; p < last; p++) {
      const Panel& panel = m.panels[p];
      with_registers(panel.registers, [&]<int R>() { panel_strip<R>(args, panel, strip); });
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
