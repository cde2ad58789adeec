// Conv3x3 by Winograd's minimal filtering (winograd.h).
//
// Six by six neighbouring inputs are taken to as many points, there multiplied with the filter's and summed over
// channels, and the sums taken back to four by four outputs.
#include "cpu/kernels/winograd.h"

#include "cpu/kernels/gemm.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

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

/// The points of the inputs of a tile, `plane` floats apart. (y, x) is the first input.
void transform(const View& input, ptrdiff_t y, ptrdiff_t x, float* out, ptrdiff_t plane) {
  const float* in = input.at(y, x);
  for (ptrdiff_t c = 0; c < input.pixel; c += kWidth, in += kWidth, out += kWidth) {
    tile_to_points([&](int j, int i) { return in + j * input.row + i * input.pixel; }, out, plane);
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
  for (int i = 0; i < kTilePoints; i++) {
    const Run run{strip.points + i * points_plane, 0, pixel, args.input.channels};
    const Pass pass{&run, 1, panel.weights + i * args.input.channels * lanes, false};
    all_blocks<R>(product, pass, {0, 0, strip.count()}, zeros, 0, strip.sums + i * sums_plane);
  }
  constexpr ptrdiff_t row = kFinished * kTileOutputs * R * kWidth;
  alignas(64) float outputs[kTileOutputs * row];
  for (ptrdiff_t y = 0; y < strip.rows; y++) {
    for (ptrdiff_t t = 0; t < strip.tiles; t += kFinished) {
      const ptrdiff_t count = strip.tiles - t < kFinished ? strip.tiles - t : kFinished;
      for (ptrdiff_t i = 0; i < count; i++) {
        const float* sums = strip.sums + (y * strip.tiles + t + i) * lanes;
        for (int r = 0; r < R; r++) {
          const Floats bias = load(m.bias + panel.first_lane + r * kWidth);
          float* const out = outputs + i * kTileOutputs * lanes + r * kWidth;
          tile_from_points(sums + r * kWidth, sums_plane,
                           [&](int j, int k, Floats v) { store(out + j * row + k * lanes, v + bias); });
        }
      }
      const int pixels = static_cast<int>(count) * kTileOutputs;
      for (int j = 0; j < kTileOutputs; j++) {
        finish<R>(m.epilogue, pixels, strip.y + y * kTileOutputs + j, (strip.x + t) * kTileOutputs, panel.first_lane,
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
  const ptrdiff_t height = (m.rows.last(rows) - y) / kTileOutputs;
  for (ptrdiff_t x = 0; x < args.tiles(); x += args.strip()) {
    const ptrdiff_t tiles = args.tiles() - x < args.strip() ? args.tiles() - x : args.strip();
    const ptrdiff_t plane = height * tiles * args.input.pixel;
    const Strip strip{y, height, x, tiles, scratch, scratch + kTilePoints * plane};
    float* out = strip.points;
    for (ptrdiff_t v = 0; v < height; v++) {
      for (ptrdiff_t t = 0; t < tiles; t++, out += args.input.pixel) {
        transform(args.input, y + v * kTileOutputs - 1, (x + t) * kTileOutputs - 1, out, plane);
      }
    }
    for (int p = first; p < last; p++) {
      const Panel& panel = m.panels[p];
      with_registers(panel.registers, [&]<int R>() { panel_strip<R>(args, panel, strip); });
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
