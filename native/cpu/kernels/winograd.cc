// Conv3x3 by Winograd's minimal filtering (Lavin and Gray 2015, arXiv 1509.09308), F(4 x 4, 3 x 3).
//
// Six by six neighbouring inputs are taken to as many points, there multiplied with the filter's and summed over
// channels, and the sums taken back to four by four outputs.
#include "cpu/kernels/gemm.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

constexpr int kOutputs = WinogradArgs::kOutputs;
constexpr int kSide = WinogradArgs::kSide;
constexpr int kPoints = WinogradArgs::kPoints;
/// Tiles of a row whose outputs are finished together.
constexpr int kFinished = 4;

/// What an item works on at a time.
struct Strip {
  /// First row of outputs, and rows of tiles.
  ptrdiff_t y;
  ptrdiff_t rows;
  /// First tile of each row, and how many.
  ptrdiff_t x;
  ptrdiff_t tiles;
  /// [point][row of tiles][tile][channel]
  float* points;
  /// [point][row of tiles][tile][lane of a panel]
  float* sums;

  CLERIC_INLINE ptrdiff_t count() const { return rows * tiles; }
};

/// Six values along one axis to the points 0, 1, -1, 2, -2 and infinity.
CLERIC_INLINE void to_points(const Floats v[kSide], Floats out[kSide]) {
  const Floats four = splat(4.0f);
  const Floats even4 = multiply_add(-four, v[2], v[4]);
  const Floats odd4 = multiply_add(-four, v[1], v[3]);
  const Floats even1 = v[4] - v[2];
  const Floats odd2 = splat(2.0f) * (v[3] - v[1]);
  out[0] = multiply_add(four, v[0], multiply_add(splat(-5.0f), v[2], v[4]));
  out[1] = even4 + odd4;
  out[2] = even4 - odd4;
  out[3] = even1 + odd2;
  out[4] = even1 - odd2;
  out[5] = multiply_add(four, v[1], multiply_add(splat(-5.0f), v[3], v[5]));
}

/// The sums at six points along one axis to four outputs.
CLERIC_INLINE void from_points(const Floats m[kSide], Floats out[kOutputs]) {
  const Floats sum1 = m[1] + m[2];
  const Floats difference1 = m[1] - m[2];
  const Floats sum2 = m[3] + m[4];
  const Floats difference2 = m[3] - m[4];
  out[0] = (m[0] + sum1) + sum2;
  out[1] = multiply_add(splat(2.0f), difference2, difference1);
  out[2] = multiply_add(splat(4.0f), sum2, sum1);
  out[3] = multiply_add(splat(8.0f), difference2, difference1) + m[5];
}

/// The points of the inputs of a tile, `plane` floats apart. (y, x) is the first input.
void transform(const View& input, ptrdiff_t y, ptrdiff_t x, float* out, ptrdiff_t plane) {
  const float* in = input.at(y, x);
  for (ptrdiff_t c = 0; c < input.pixel; c += kWidth, in += kWidth, out += kWidth) {
    Floats columns[kSide][kSide];
#pragma GCC unroll 6
    for (int i = 0; i < kSide; i++) {
      Floats v[kSide];
#pragma GCC unroll 6
      for (int j = 0; j < kSide; j++) v[j] = load(in + j * input.row + i * input.pixel);
      to_points(v, columns[i]);
    }
#pragma GCC unroll 6
    for (int j = 0; j < kSide; j++) {
      Floats v[kSide];
      Floats points[kSide];
#pragma GCC unroll 6
      for (int i = 0; i < kSide; i++) v[i] = columns[i][j];
      to_points(v, points);
#pragma GCC unroll 6
      for (int i = 0; i < kSide; i++) store(out + (j * kSide + i) * plane, points[i]);
    }
  }
}

/// The outputs of a tile, one register of lanes, from its sums at the points: a row of outputs is `row` floats from the
/// next, an output `step` from its neighbour.
CLERIC_INLINE void outputs_of(const float* sums, ptrdiff_t plane, Floats bias, float* out, ptrdiff_t row,
                              ptrdiff_t step) {
  Floats columns[kSide][kOutputs];
#pragma GCC unroll 6
  for (int i = 0; i < kSide; i++) {
    Floats m[kSide];
#pragma GCC unroll 6
    for (int j = 0; j < kSide; j++) m[j] = load(sums + (j * kSide + i) * plane);
    from_points(m, columns[i]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < kOutputs; j++) {
    Floats m[kSide];
    Floats v[kOutputs];
#pragma GCC unroll 6
    for (int i = 0; i < kSide; i++) m[i] = columns[i][j];
    from_points(m, v);
#pragma GCC unroll 4
    for (int i = 0; i < kOutputs; i++) store(out + j * row + i * step, v[i] + bias);
  }
}

template <int R>
void panel_strip(const WinogradArgs& args, const Panel& panel, const Strip& strip) {
  const MatrixArgs& m = args.matrix;
  const ptrdiff_t pixel = args.input.pixel;
  const ptrdiff_t lanes = R * kWidth;
  const ptrdiff_t points_plane = strip.count() * pixel;
  const ptrdiff_t sums_plane = strip.count() * lanes;
  alignas(64) const float zeros[kPanelLanes] = {};
  const Product product{m, panel, 0, nullptr};
  for (int i = 0; i < kPoints; i++) {
    const Run run{strip.points + i * points_plane, 0, pixel, args.input.channels};
    const Pass pass{&run, 1, panel.weights + i * args.input.channels * lanes, false};
    all_blocks<R>(product, pass, {0, 0, strip.count()}, zeros, 0, strip.sums + i * sums_plane);
  }
  constexpr ptrdiff_t row = kFinished * kOutputs * R * kWidth;
  alignas(64) float outputs[kOutputs * row];
  for (ptrdiff_t y = 0; y < strip.rows; y++) {
    for (ptrdiff_t t = 0; t < strip.tiles; t += kFinished) {
      const ptrdiff_t count = strip.tiles - t < kFinished ? strip.tiles - t : kFinished;
      for (ptrdiff_t i = 0; i < count; i++) {
        const float* sums = strip.sums + (y * strip.tiles + t + i) * lanes;
        for (int r = 0; r < R; r++) {
          const Floats bias = load(m.bias + panel.first_lane + r * kWidth);
          outputs_of(sums + r * kWidth, sums_plane, bias, outputs + i * kOutputs * lanes + r * kWidth, row, lanes);
        }
      }
      const int pixels = static_cast<int>(count) * kOutputs;
      for (int j = 0; j < kOutputs; j++) {
        finish<R>(m.epilogue, pixels, strip.y + y * kOutputs + j, (strip.x + t) * kOutputs, panel.first_lane,
                  outputs + j * row);
      }
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
  const ptrdiff_t height = (m.rows.last(rows) - y) / kOutputs;
  for (ptrdiff_t x = 0; x < args.tiles(); x += args.strip()) {
    const ptrdiff_t tiles = args.tiles() - x < args.strip() ? args.tiles() - x : args.strip();
    const ptrdiff_t plane = height * tiles * args.input.pixel;
    const Strip strip{y, height, x, tiles, scratch, scratch + kPoints * plane};
    float* out = strip.points;
    for (ptrdiff_t v = 0; v < height; v++) {
      for (ptrdiff_t t = 0; t < tiles; t++, out += args.input.pixel) {
        transform(args.input, y + v * kOutputs - 1, (x + t) * kOutputs - 1, out, plane);
      }
    }
    for (int p = first; p < last; p++) {
      const Panel& panel = m.panels[p];
      with_registers(panel.registers, [&]<int R>() { panel_strip<R>(args, panel, strip); });
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
