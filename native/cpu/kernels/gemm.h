// The matrix product under every convolution, and what becomes of its sums.
//
// A block of P pixels x R registers of output channels stays in registers while
// the whole inner dimension (inputs x taps x channels) goes by: two or three loads
// of weights and P broadcasts of activations feed P x R multiply-adds. Each sum is
// made in one fixed order, whatever the block it falls in, so block sizes, threads
// and instruction sets (with FMA) don't show in the result.
#pragma once

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd.h"

namespace cleric::cpu::CLERIC_ISA {

/// How many registers of output channels a panel may have: a block should still have a good number of pixels.
#if defined(__AVX512F__)
constexpr int kPanelRegisters = 3;
#elif defined(__aarch64__)
constexpr int kPanelRegisters = 4;
#else
constexpr int kPanelRegisters = 2;
#endif

/// How many pixels a block has: accumulators, weights and one broadcast fill the register file.
constexpr int pixels_of(int registers) {
#if defined(__AVX512F__)
  return registers == 3 ? 8 : registers == 2 ? 12 : 16;
#elif defined(__aarch64__)
  return registers == 4 ? 6 : 8;
#else
  return registers == 2 ? 6 : 8;
#endif
}

/// How many rows of a panel are gone through before the next pixels: 250 KiB of weights, so that these are still in
/// the second-level cache for those pixels. Deeper products take several passes, with their sums kept in between.
constexpr ptrdiff_t kPassDepth = 1344;

/// A pass over some of the runs of a product.
struct Pass {
  const Run* runs;
  int count;
  const float* weights;
  bool last;
};

/// Sums of P pixels x R registers into out [P][R * kWidth], on top of start [P][start_step].
template <int P, int R>
static inline void multiply(const Pass& pass, ptrdiff_t y, ptrdiff_t x, const float* start, ptrdiff_t start_step,
                            float* out) {
  const float* weights = pass.weights;
  Floats sum[P][R];
#pragma GCC unroll 16
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) sum[p][r] = load(start + p * start_step + r * kWidth);
  }
  for (int i = 0; i < pass.count; i++) {
    const Run& run = pass.runs[i];
    const float* a = run.data + y * run.row + x * run.step;
    for (const float* const end = a + run.length; a != end; a++) {
      Floats w[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) w[r] = load(weights + r * kWidth);
      weights += R * kWidth;
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) {
        const Floats v = splat(a[p * run.step]);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) sum[p][r] = multiply_add(v, w[r], sum[p][r]);
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) store(out + (p * R + r) * kWidth, sum[p][r]);
  }
}

/// Finishes and stores the sums of one register of channels and `pixels` pixels.
template <Finish F>
static CLERIC_INLINE void finish_column(const Epilogue& e, int pixels, ptrdiff_t y, ptrdiff_t x, int lane,
                                        const float* tile, ptrdiff_t tile_step) {
  const int group = lane / static_cast<int>(e.out.pixel);
  const ptrdiff_t channel = lane - group * e.out.pixel;
  const ptrdiff_t row = y * e.shuffle + group / e.shuffle;
  const ptrdiff_t column = x * e.shuffle + group % e.shuffle;
  float* out = e.out.at(row, column) + channel;
  const ptrdiff_t out_step = e.shuffle * e.out.pixel;
  const float* residual = e.residual.data ? e.residual.at(row, column) + channel : nullptr;
  const ptrdiff_t residual_step = e.shuffle * e.residual.pixel;
  const float* factor = e.factor.data ? e.factor.at(row, column) + channel : nullptr;
  const ptrdiff_t factor_step = e.shuffle * e.factor.pixel;
  for (int p = 0; p < pixels; p++, tile += tile_step) {
    Floats v = load(tile);
    if constexpr (F == Finish::gelu) v = gelu(v);
    if constexpr (F == Finish::divide_root) v = load(factor + p * factor_step) / square_root(v);
    if constexpr (F == Finish::multiply_root) v = load(factor + p * factor_step) * square_root(v);
    if (residual) v = v + load(residual + p * residual_step);
    store(out + p * out_step, v);
  }
}

template <int R>
static inline void finish(const Epilogue& e, int pixels, ptrdiff_t y, ptrdiff_t x, int lane, const float* tile) {
  for (int r = 0; r < R; r++) {
    const int own = lane + r * kWidth;
    const float* column = tile + r * kWidth;
    switch (e.finish) {
      case Finish::none:
        finish_column<Finish::none>(e, pixels, y, x, own, column, R * kWidth);
        break;
      case Finish::gelu:
        finish_column<Finish::gelu>(e, pixels, y, x, own, column, R * kWidth);
        break;
      case Finish::divide_root:
        finish_column<Finish::divide_root>(e, pixels, y, x, own, column, R * kWidth);
        break;
      case Finish::multiply_root:
        finish_column<Finish::multiply_root>(e, pixels, y, x, own, column, R * kWidth);
        break;
    }
  }
}

/// Where the pixels of a piece of a row start, and how many there are.
struct Piece {
  ptrdiff_t y;
  ptrdiff_t x;
  ptrdiff_t count;
};

/// A panel's product over a piece of a row.
struct Product {
  const MatrixArgs& m;
  const Panel& panel;
  /// The runs' column 0 is this column of the output.
  ptrdiff_t run_x;
  /// Sums between passes, [pixel][lane of the panel].
  float* partial;
};

template <int P, int R>
static CLERIC_INLINE void blocks(const Product& product, const Pass& pass, Piece& piece, const float*& start,
                                 ptrdiff_t start_step, float*& partial) {
  alignas(64) float tile[P * R * kWidth];
  for (; piece.count >= P; piece.count -= P, piece.x += P) {
    multiply<P, R>(pass, piece.y, piece.x - product.run_x, start, start_step, pass.last ? tile : partial);
    if (pass.last) {
      finish<R>(product.m.epilogue, P, piece.y, piece.x, product.panel.first_lane, tile);
    }
    start += P * start_step;
    partial += P * R * kWidth;
  }
}

template <int R>
static CLERIC_INLINE void all_blocks(const Product& product, const Pass& pass, Piece piece, const float* start,
                                     ptrdiff_t start_step, float* partial) {
  blocks<pixels_of(R), R>(product, pass, piece, start, start_step, partial);
  if constexpr (pixels_of(R) > 8) blocks<8, R>(product, pass, piece, start, start_step, partial);
  blocks<4, R>(product, pass, piece, start, start_step, partial);
  blocks<2, R>(product, pass, piece, start, start_step, partial);
  blocks<1, R>(product, pass, piece, start, start_step, partial);
}

template <int R>
static void panel_row(const Product& product, const Run* runs, int run_count, const Piece& whole) {
  Pass pass{runs, 0, product.panel.weights, false};
  while (!pass.last) {
    const bool first = pass.runs == runs;
    ptrdiff_t depth = 0;
    for (pass.count = 0; pass.runs + pass.count != runs + run_count; pass.count++) {
      const ptrdiff_t length = pass.runs[pass.count].length;
      if (pass.count > 0 && depth + length > kPassDepth) break;
      depth += length;
    }
    pass.last = pass.runs + pass.count == runs + run_count;
    // Every pass takes the same blocks, so it finds its sums where the one before left them.
    const float* start = first ? product.m.bias + product.panel.first_lane : product.partial;
    const ptrdiff_t step = first ? 0 : R * kWidth;
    all_blocks<R>(product, pass, whole, start, step, product.partial);
    pass.runs += pass.count;
    pass.weights += depth * R * kWidth;
  }
}

/// Calls `work` with the number of registers of a panel as a constant.
template <typename Work>
static CLERIC_INLINE void with_registers(int registers, const Work& work) {
  switch (registers) {
    case 1:
      return work.template operator()<1>();
    case 2:
      return work.template operator()<2>();
#if defined(__AVX512F__) || defined(__aarch64__)
    case 3:
      return work.template operator()<3>();
#endif
#if defined(__aarch64__)
    case 4:
      return work.template operator()<4>();
#endif
    default:
      return;
  }
}

/// One panel over pixels [x0, x1) of row y. The runs' column 0 is column `run_x` of the output.
///
/// @param partial kPanelLanes floats a pixel
static inline void panel_pixels(const MatrixArgs& m, const Run* runs, int run_count, const Panel& panel, ptrdiff_t y,
                                ptrdiff_t x0, ptrdiff_t x1, ptrdiff_t run_x, float* partial) {
  const Piece piece{y, x0, x1 - x0};
  const Product product{m, panel, run_x, partial};
  with_registers(panel.registers, [&]<int R>() { panel_row<R>(product, runs, run_count, piece); });
}

static_assert(kPanelRegisters * kWidth <= kPanelLanes, "partial sums fit their scratch");

}  // namespace cleric::cpu::CLERIC_ISA
