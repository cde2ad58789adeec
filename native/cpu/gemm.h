// The matrix product under every convolution, and what becomes of its sums.
//
// A block of P pixels x R registers of output channels stays in registers while
// the whole inner dimension (inputs x taps x channels) goes by: two or three loads
// of weights and P broadcasts of activations feed P x R multiply-adds. Each sum is
// made in one fixed order, whatever the block it falls in, so block sizes, threads
// and instruction sets (with FMA) don't show in the result.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace cleric::cpu::CLERIC_ISA {

/// Registers of output channels a panel may have: as many as leave a good number of pixels.
#if defined(__AVX512F__)
constexpr int kPanelRegisters = 3;
#elif defined(__aarch64__)
constexpr int kPanelRegisters = 4;
#else
constexpr int kPanelRegisters = 2;
#endif

/// Pixels a block has: accumulators, weights and one broadcast fill the register file.
constexpr int pixels_of(int registers) {
#if defined(__AVX512F__)
  return registers == 3 ? 8 : registers == 2 ? 12 : 16;
#elif defined(__aarch64__)
  return registers == 4 ? 6 : 8;
#else
  return registers == 2 ? 6 : 8;
#endif
}

/// Floats of the buffer that sums pass through on their way to the epilogue.
constexpr int kTileFloats = 16 * 4 * 16;

/// Sums of P pixels x R registers into tile [P][R * kWidth].
template <int P, int R>
static inline void multiply(const Run* runs, int run_count, ptrdiff_t y, ptrdiff_t x, ptrdiff_t stride,
                            const float* weights, const float* bias, float* tile) {
  Floats sum[P][R];
#pragma GCC unroll 16
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) sum[p][r] = load(bias + r * kWidth);
  }
  for (int i = 0; i < run_count; i++) {
    const Run& run = runs[i];
    const ptrdiff_t step = run.step * stride;
    const float* a = run.data + y * run.row + x * run.step;
    for (const float* const end = a + run.length; a != end; a++) {
      Floats w[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) w[r] = load(weights + r * kWidth);
      weights += R * kWidth;
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) {
        const Floats v = splat(a[p * step]);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) sum[p][r] = multiply_add(v, w[r], sum[p][r]);
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) store(tile + (p * R + r) * kWidth, sum[p][r]);
  }
}

/// Sums of one register of channels and `pixels` pixels, finished and stored.
template <Finish F>
static CLERIC_INLINE void finish_column(const Epilogue& e, int pixels, ptrdiff_t y, ptrdiff_t x, ptrdiff_t stride,
                                        int lane, const float* tile, ptrdiff_t tile_step) {
  const int group = lane / static_cast<int>(e.out.pixel);
  const ptrdiff_t channel = lane - group * e.out.pixel;
  const ptrdiff_t row = y * e.shuffle + group / e.shuffle;
  const ptrdiff_t column = x * e.shuffle + group % e.shuffle;
  const ptrdiff_t columns = stride * e.shuffle;
  float* out = e.out.at(row, column) + channel;
  const ptrdiff_t out_step = columns * e.out.pixel;
  const float* residual = e.residual.data ? e.residual.at(row, column) + channel : nullptr;
  const ptrdiff_t residual_step = columns * e.residual.pixel;
  const float* factor = e.factor.data ? e.factor.at(row, column) + channel : nullptr;
  const ptrdiff_t factor_step = columns * e.factor.pixel;
  const Half keep = e.keep;
  const Floats scale = splat(e.scale);
  for (int p = 0; p < pixels; p++, tile += tile_step) {
    Floats v = load(tile);
    if constexpr (F == Finish::gelu) v = gelu(v);
    if constexpr (F == Finish::tanh) v = hyperbolic_tangent(v);
    if constexpr (F == Finish::divide_root) v = load(factor + p * factor_step) / square_root(v);
    if constexpr (F == Finish::multiply_root) v = load(factor + p * factor_step) * square_root(v);
    const Floats rest = residual ? load(residual + p * residual_step) : splat(0.0f);
    v = kept(keep, row, column + p * columns) ? multiply_add(scale, v, rest) : rest;
    store(out + p * out_step, v);
  }
}

template <int R>
static inline void finish(const Epilogue& e, int pixels, ptrdiff_t y, ptrdiff_t x, ptrdiff_t stride, int lane,
                          const float* tile) {
  for (int r = 0; r < R; r++) {
    const int own = lane + r * kWidth;
    const float* column = tile + r * kWidth;
    switch (e.finish) {
      case Finish::none: finish_column<Finish::none>(e, pixels, y, x, stride, own, column, R * kWidth); break;
      case Finish::gelu: finish_column<Finish::gelu>(e, pixels, y, x, stride, own, column, R * kWidth); break;
      case Finish::tanh: finish_column<Finish::tanh>(e, pixels, y, x, stride, own, column, R * kWidth); break;
      case Finish::divide_root:
        finish_column<Finish::divide_root>(e, pixels, y, x, stride, own, column, R * kWidth);
        break;
      case Finish::multiply_root:
        finish_column<Finish::multiply_root>(e, pixels, y, x, stride, own, column, R * kWidth);
        break;
    }
  }
}

/// Where the pixels of a piece of a row start, how far they are apart, and how many there are.
struct Piece {
  ptrdiff_t y;
  ptrdiff_t x;
  ptrdiff_t stride;
  ptrdiff_t count;
};

template <int P, int R>
static CLERIC_INLINE void blocks(const MatrixArgs& m, const Run* runs, int run_count, const Panel& panel, Piece& piece,
                                 ptrdiff_t run_x, float* tile) {
  for (; piece.count >= P; piece.count -= P, piece.x += P * piece.stride) {
    multiply<P, R>(runs, run_count, piece.y, piece.x - run_x, piece.stride, panel.weights, m.bias + panel.first_lane,
                   tile);
    finish<R>(m.epilogue, P, piece.y, piece.x, piece.stride, panel.first_lane, tile);
  }
}

template <int R>
static void panel_row(const MatrixArgs& m, const Run* runs, int run_count, const Panel& panel, Piece piece,
                      ptrdiff_t run_x, float* tile) {
  blocks<pixels_of(R), R>(m, runs, run_count, panel, piece, run_x, tile);
  if constexpr (pixels_of(R) > 8) blocks<8, R>(m, runs, run_count, panel, piece, run_x, tile);
  blocks<4, R>(m, runs, run_count, panel, piece, run_x, tile);
  blocks<2, R>(m, runs, run_count, panel, piece, run_x, tile);
  blocks<1, R>(m, runs, run_count, panel, piece, run_x, tile);
}

/// One panel over pixels [x0, x1) of row y. The runs' column 0 is column `run_x` of the output.
static inline void panel_pixels(const MatrixArgs& m, const Run* runs, int run_count, const Panel& panel, ptrdiff_t y,
                                ptrdiff_t x0, ptrdiff_t x1, ptrdiff_t run_x) {
  alignas(64) float tile[kTileFloats];
  Piece piece{y, x0, 1, x1 - x0};
  if (m.needed != Half::all) {
    if (!kept(m.needed, y, x0)) piece.x++;
    piece.stride = 2;
    piece.count = (x1 - piece.x + 1) / 2;
  }
  switch (panel.registers) {
    case 1: panel_row<1>(m, runs, run_count, panel, piece, run_x, tile); break;
    case 2: panel_row<2>(m, runs, run_count, panel, piece, run_x, tile); break;
#if defined(__AVX512F__) || defined(__aarch64__)
    case 3: panel_row<3>(m, runs, run_count, panel, piece, run_x, tile); break;
#endif
#if defined(__aarch64__)
    case 4: panel_row<4>(m, runs, run_count, panel, piece, run_x, tile); break;
#endif
    default: break;
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
