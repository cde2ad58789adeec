// Attention inside the 5x5 window around every position, in integers.
#include "cpu/kernels/integers.h"
#include "cpu/kernels/kernels.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// Rows, and columns, of a window.
constexpr int kSide = 5;

/// One head of the window round (row, column): 25 queries, keys and values, zero outside the image. Channels stand in
/// pairs, padded with zero to an even number; queries side by side in lanes, so that softmax needs no sum across lanes.
struct Window {
  /// Channels of a head, pairs of them, and channels padded to registers.
  ptrdiff_t size;
  ptrdiff_t pairs;
  ptrdiff_t lanes;
  /// [pairs][kQueryLanes]
  uint32_t* queries;
  /// [25][pairs]
  uint32_t* keys;
  /// [25][lanes], each value v as the pair (4 v, v): weights have 17 bits, of which a pair holds 15 and the last 2.
  uint32_t* values;
  /// [25][kQueryLanes]: logits, then weights, of each key for all queries.
  int32_t* weights;
  /// -1 where a query is an anchor inside the image.
  alignas(64) int32_t anchors[kQueryLanes];
};

CLERIC_INLINE uint32_t pair_of(int32_t low, int32_t high) {
  return (static_cast<uint32_t>(low) & 0xffff) | static_cast<uint32_t>(high) << 16;
}

/// Channels 2 j and 2 j + 1, of which the second may be past the head's last.
CLERIC_INLINE uint32_t channel_pair(const int16_t* from, ptrdiff_t j, ptrdiff_t size) {
  const uint32_t pair = pair_at(from + 2 * j);
  return 2 * j + 1 < size ? pair : pair & 0xffff;
}

void gather(const WindowAttentionArgs& a, ptrdiff_t head, int row, int column, Window& w) {
  const ptrdiff_t d = a.output.channels;
  for (int t = 0; t < kWindow; t++) {
    const int y = row + t / kSide - 2;
    const int x = column + t % kSide - 2;
    uint32_t* const queries = w.queries + t;
    uint32_t* const keys = w.keys + t * w.pairs;
    uint32_t* const values = w.values + t * w.lanes;
    const bool inside = y >= 0 && x >= 0 && y < a.qkv.height && x < a.qkv.width;
    w.anchors[t] = inside && kept(Half::anchor, y, x) ? -1 : 0;
    if (!inside) {
      for (ptrdiff_t j = 0; j < w.pairs; j++) queries[j * kQueryLanes] = keys[j] = 0;
      for (ptrdiff_t j = 0; j < w.lanes; j++) values[j] = 0;
      continue;
    }
    const int16_t* const from = a.qkv.at(y, x) + head * w.size;
    for (ptrdiff_t j = 0; j < w.pairs; j++) queries[j * kQueryLanes] = channel_pair(from, j, w.size);
    for (ptrdiff_t j = 0; j < w.pairs; j++) keys[j] = channel_pair(from + d, j, w.size);
    // What lies past the head's last channel belongs to the next head; what is computed from it is never stored.
    for (ptrdiff_t j = 0; j < w.lanes; j += kWidth) {
      const Words v = words(load(from + 2 * d + j));
      *reinterpret_cast<UnalignedWords*>(values + j) = ((v << 2) & 0xffff) | v << 16;
    }
  }
}

/// Registers that hold one number of each query.
constexpr int kQueries = kQueryLanes / kWidth;
/// Keys, or queries, that are worked on at once.
constexpr int kAtOnce = kWidth == 16 ? 5 : 1;

/// Logits of all queries and keys.
void score(const WindowAttentionArgs& a, const Window& w, const int32_t* bias) {
  for (int first = 0; first < kWindow; first += kAtOnce) {
    Sums dot[kAtOnce][kQueries] = {};
    for (ptrdiff_t j = 0; j < w.pairs; j++) {
      Words q[kQueries];
#pragma GCC unroll 8
      for (int r = 0; r < kQueries; r++) {
        q[r] = *reinterpret_cast<const UnalignedWords*>(w.queries + j * kQueryLanes + r * kWidth);
      }
#pragma GCC unroll 5
      for (int k = 0; k < kAtOnce; k++) {
        const Words key = splat(w.keys[(first + k) * w.pairs + j]);
#pragma GCC unroll 8
        for (int r = 0; r < kQueries; r++) dot[k][r] = add_products(dot[k][r], key, q[r]);
      }
    }
    for (int k = 0; k < kAtOnce; k++) {
      const Ints anchor = splat(w.anchors[first + k]);
      for (int r = 0; r < kQueries; r++) {
        const ptrdiff_t at = (first + k) * kQueryLanes + r * kWidth;
        const Ints both = anchor & load(w.anchors + r * kWidth);
        store(w.weights + at, rounded_shift(words_of(dot[k][r]), a.shift) + load(bias + at) - (~both & 65536));
      }
    }
  }
}

/// Softmax over the keys, for each query in its lane; weights as pairs that go with those of the values.
void normalise(const Window& w, const int16_t* exp) {
  for (int r = 0; r < kQueries; r++) {
    int32_t* const own = w.weights + r * kWidth;
    Ints top = load(own);
    for (int k = 1; k < kWindow; k++) {
      const Ints logit = load(own + k * kQueryLanes);
      top = logit > top ? logit : top;
    }
    for (int k = 0; k < kWindow; k++) {
      const Words below = words(top) - words(load(own + k * kQueryLanes));
      store(own + k * kQueryLanes, ints(below < splat(kTableSize - 1u) ? below : splat(kTableSize - 1u)));
    }
  }
  for (int i = 0; i < kWindow * kQueryLanes; i++) w.weights[i] = exp[w.weights[i]];
  for (int r = 0; r < kQueries; r++) {
    int32_t* const own = w.weights + r * kWidth;
    Words sum = splat(0u);
    for (int k = 0; k < kWindow; k++) sum += words(load(own + k * kQueryLanes));
    const Floats inverse = inverse_of(sum);
    for (int k = 0; k < kWindow; k++) {
      const Words power = words(load(own + k * kQueryLanes));
      const Words p = quotient((power << 16) + (sum >> 1), sum, inverse);
      store(own + k * kQueryLanes, ints((p >> 2) | (p & 3) << 16));
    }
  }
}

/// The weighted values of channels [first, first + R registers), for each query.
template <int R>
CLERIC_INLINE void combine(const WindowAttentionArgs& a, const Window& w, int row, int column, ptrdiff_t head,
                           ptrdiff_t first) {
  for (int query = 0; query < kWindow; query += kSide) {
    Sums sum[kSide][R] = {};
    for (int k = 0; k < kWindow; k++) {
      Words v[R];
#pragma GCC unroll 2
      for (int r = 0; r < R; r++) {
        v[r] = *reinterpret_cast<const UnalignedWords*>(w.values + k * w.lanes + first + r * kWidth);
      }
#pragma GCC unroll 5
      for (int q = 0; q < kSide; q++) {
        const Words weight = words(splat(w.weights[k * kQueryLanes + query + q]));
#pragma GCC unroll 2
        for (int r = 0; r < R; r++) sum[q][r] = add_products(sum[q][r], weight, v[r]);
      }
    }
    for (int q = 0; q < kSide; q++) {
      int16_t* to = a.output.at(kSide * row + query / kSide, kSide * column + q) + head * w.size + first;
      for (int r = 0; r < R; r++) {
        const ptrdiff_t left = w.size - first - r * kWidth;
        const Ints v = rounded_shift(words_of(sum[q][r]), 16);
        if (left >= kWidth)
          store(to + r * kWidth, v);
        else
          for (ptrdiff_t i = 0; i < left; i++) to[r * kWidth + i] = static_cast<int16_t>(v[i]);
      }
    }
  }
}

}  // namespace

void window_attention(const WindowAttentionArgs& a, int item, float* scratch) {
  Window w{};
  w.size = a.output.channels / a.heads;
  w.pairs = (w.size + 1) / 2;
  w.lanes = padded(static_cast<int>(w.size));
  w.queries = reinterpret_cast<uint32_t*>(scratch);
  w.keys = w.queries + w.pairs * kQueryLanes;
  w.values = w.keys + kWindow * w.pairs;
  w.weights = reinterpret_cast<int32_t*>(w.values + kWindow * w.lanes);
  // The lanes past the last query are computed too, and never stored.
  for (ptrdiff_t i = 0; i < w.pairs * kQueryLanes; i++) w.queries[i] = 0;
  for (int row = a.rows.first(item); row < a.rows.last(item); row++) {
    for (int column = 0; column < a.qkv.width; column++) {
      if (kept(Half::anchor, row, column)) {
        // Only windows round non-anchors are used. The others are zero, so that the tensor is the same every time.
        for (int t = 0; t < kWindow; t++) {
          int16_t* out = a.output.at(kSide * row + t / kSide, kSide * column + t % kSide);
          for (int c = 0; c < a.output.channels; c++) out[c] = 0;
        }
        continue;
      }
      for (int head = 0; head < a.heads; head++) {
        gather(a, head, row, column, w);
        score(a, w, a.bias + head * kWindow * kQueryLanes);
        normalise(w, a.exp);
        ptrdiff_t first = 0;
        for (; first + kWidth < w.size; first += 2 * kWidth) combine<2>(a, w, row, column, head, first);
        for (; first < w.size; first += kWidth) combine<1>(a, w, row, column, head, first);
      }
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
