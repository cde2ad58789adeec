// Convolutions of integers: as in gemm.h, but two channels at a time, since every
// machine multiplies pairs of int16 and adds the two products in one instruction.
// Sums are exact, so neither blocks nor passes show in them.
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/integers.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// As many bytes of weights as kPassDepth allows, which are twice as many weights.
constexpr ptrdiff_t kIntegerPassDepth = 2 * kPassDepth;

struct IntegerPass {
  const IntegerRun* runs;
  int count;
  const int16_t* weights;
};

/// Pixels x, x + stride, ... of row y.
struct Pixels {
  ptrdiff_t y;
  ptrdiff_t x;
  ptrdiff_t stride;
  ptrdiff_t count;
};

/// Sums of P pixels x R registers into out [P][R * kWidth], on top of start [P][start_step].
template <int P, int R>
inline void multiply(const IntegerPass& pass, const Pixels& pixels, const int32_t* start, ptrdiff_t start_step,
                     int32_t* out) {
  const int16_t* weights = pass.weights;
  Sums sum[P][R];
#pragma GCC unroll 16
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) sum[p][r] = reinterpret_cast<Sums>(load(start + p * start_step + r * kWidth));
  }
  for (int i = 0; i < pass.count; i++) {
    const IntegerRun& run = pass.runs[i];
    const ptrdiff_t step = run.step * pixels.stride;
    const int16_t* a = run.data + pixels.y * run.row + pixels.x * run.step;
    for (const int16_t* const end = a + run.length; a != end; a += 2) {
      Words w[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) w[r] = load_pairs(weights + 2 * r * kWidth);
      weights += 2 * R * kWidth;
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) {
        const Words pair = splat(pair_at(a + p * step));
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) sum[p][r] = add_weighted(sum[p][r], w[r], pair);
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < P; p++) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) store(out + (p * R + r) * kWidth, reinterpret_cast<Ints>(sum[p][r]));
  }
}

/// Where a register of lanes goes.
struct Target {
  ptrdiff_t row;
  ptrdiff_t column;
  /// The step from one pixel to the next.
  ptrdiff_t columns;
  ptrdiff_t channel;
};

Target target_of(const IntegerConvArgs& a, const Pixels& pixels, int lane) {
  const int group = lane / static_cast<int>(a.out_pixel());
  return {pixels.y * a.shuffle + group / a.shuffle, pixels.x * a.shuffle + group % a.shuffle, pixels.stride * a.shuffle,
          lane - group * a.out_pixel()};
}

CLERIC_INLINE void put(const IntegerConvArgs& a, const Target& t, ptrdiff_t column, Ints v) {
  if (!a.residual.empty()) {
    v = load(a.residual, t.row, column, t.channel) + v;
    if (!a.wide) v = clamp12(v);
  }
  if (a.out.narrow.data)
    store(a.out.narrow.at(t.row, column) + t.channel, v);
  else
    store(a.out.wide.at(t.row, column) + t.channel, __builtin_convertvector(v, Floats));
}

/// Turns sums [pixels][registers * kWidth] into values in place, then writes these to the output.
void finish(const IntegerConvArgs& a, int registers, const Pixels& pixels, int lane, int32_t* sums) {
  const ptrdiff_t lanes = registers * kWidth;
  const int32_t limit = a.wide && !a.table ? 1 << 20 : 2048;
  for (int r = 0; r < registers; r++) {
    const Ints shift = load(a.shift + lane + r * kWidth);
    for (ptrdiff_t p = 0; p < pixels.count; p++) {
      int32_t* at = sums + p * lanes + r * kWidth;
      store(at, clamp(load(at) >> shift, -limit, limit == 2048 ? 2047 : limit));
    }
  }
  if (a.table) {
    for (ptrdiff_t i = 0; i < pixels.count * lanes; i++) sums[i] = a.table[sums[i] + 2048];
  }
  for (int r = 0; r < registers; r++) {
    const Target t = target_of(a, pixels, lane + r * kWidth);
    for (ptrdiff_t p = 0; p < pixels.count; p++) {
      const ptrdiff_t column = t.column + p * t.columns;
      const Ints v = load(sums + p * lanes + r * kWidth);
      put(a, t, column, kept(a.keep, t.row, column) ? v : splat(0));
    }
  }
}

/// Writes what the pixels off the half that is kept are: zero, and the residual.
void blank(const IntegerConvArgs& a, const IntegerPanel& panel, const Pixels& pixels) {
  for (int r = 0; r < panel.registers; r++) {
    const Target t = target_of(a, pixels, panel.first_lane + r * kWidth);
    for (ptrdiff_t p = 0; p < pixels.count; p++) put(a, t, t.column + p * t.columns, splat(0));
  }
}

/// Where sums lie between passes.
struct Between {
  const int32_t* start;
  ptrdiff_t start_step;
  int32_t* partial;
};

template <int P, int R>
CLERIC_INLINE void blocks(const IntegerConvArgs& a, const IntegerPass& pass, bool last, int lane, Pixels& left,
                          Between& sums) {
  alignas(64) int32_t tile[P * R * kWidth];
  for (; left.count >= P; left.count -= P, left.x += P * left.stride) {
    multiply<P, R>(pass, left, sums.start, sums.start_step, last ? tile : sums.partial);
    if (last) finish(a, R, {left.y, left.x, left.stride, P}, lane, tile);
    sums.start += P * sums.start_step;
    sums.partial += P * R * kWidth;
  }
}

template <int R>
void panel_row(const IntegerConvArgs& a, const IntegerPanel& panel, const Pixels& pixels, int32_t* partial) {
  const IntegerRun* const end = a.runs + a.run_count;
  IntegerPass pass{a.runs, 0, panel.weights};
  for (bool last = false; !last; pass.runs += pass.count) {
    ptrdiff_t depth = 0;
    for (pass.count = 0; pass.runs + pass.count != end; pass.count++) {
      const ptrdiff_t length = pass.runs[pass.count].length;
      if (pass.count > 0 && depth + length > kIntegerPassDepth) break;
      depth += length;
    }
    last = pass.runs + pass.count == end;
    // Every pass takes the same blocks, so it finds its sums where the one before left them.
    Pixels left = pixels;
    Between sums{partial, R * kWidth, partial};
    if (pass.runs == a.runs) sums = {a.bias + panel.first_lane, 0, partial};
    blocks<pixels_of(R), R>(a, pass, last, panel.first_lane, left, sums);
    if constexpr (pixels_of(R) > 8) blocks<8, R>(a, pass, last, panel.first_lane, left, sums);
    blocks<4, R>(a, pass, last, panel.first_lane, left, sums);
    blocks<2, R>(a, pass, last, panel.first_lane, left, sums);
    blocks<1, R>(a, pass, last, panel.first_lane, left, sums);
    pass.weights += depth * R * kWidth;
  }
}

Pixels half_row(Half half, ptrdiff_t y, ptrdiff_t width) {
  if (half == Half::all) return {y, 0, 1, width};
  const ptrdiff_t first = kept(half, y, 0) ? 0 : 1;
  return {y, first, 2, (width - first + 1) / 2};
}

void panel_pixels(const IntegerConvArgs& a, const IntegerPanel& panel, const Pixels& pixels, int32_t* partial) {
  switch (panel.registers) {
    case 1:
      panel_row<1>(a, panel, pixels, partial);
      break;
    case 2:
      panel_row<2>(a, panel, pixels, partial);
      break;
#if defined(__AVX512F__) || defined(__aarch64__)
    case 3:
      panel_row<3>(a, panel, pixels, partial);
      break;
#endif
#if defined(__aarch64__)
    case 4:
      panel_row<4>(a, panel, pixels, partial);
      break;
#endif
    default:
      break;
  }
}

}  // namespace

void integer_conv(const IntegerConvArgs& a, int item, float* scratch) {
  auto* const partial = reinterpret_cast<int32_t*>(scratch);
  // Neighbouring items share a block of panels, whose weights then stay in the cache.
  const int first = item / a.rows.items() * a.panels_per_item;
  const int last = first + a.panels_per_item < a.panel_count ? first + a.panels_per_item : a.panel_count;
  const int rows = item % a.rows.items();
  // Only the half that is kept needs sums. A shuffle moves pixels from half to half, so all of its pixels need them.
  const bool by_half = a.keep != Half::all && a.shuffle == 1;
  const Half half = by_half ? a.keep : a.needed;
  for (int y = a.rows.first(rows); y < a.rows.last(rows); y++) {
    for (int p = first; p < last; p++) {
      panel_pixels(a, a.panels[p], half_row(half, y, a.width), partial);
      if (by_half && a.needed != a.keep) {
        blank(a, a.panels[p], half_row(half == Half::anchor ? Half::non_anchor : Half::anchor, y, a.width));
      }
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
