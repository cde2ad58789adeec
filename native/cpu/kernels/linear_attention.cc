// Linear attention in integers: a softmax of the keys over positions, one of the queries over channels.
#include "cpu/kernels/integers.h"
#include "cpu/kernels/kernels.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// Rows of the context that are summed at once.
constexpr int kRows = 4;

/// One head; all arrays have rows of `lanes`, the head's channels padded to registers.
struct Head {
  ptrdiff_t size;
  ptrdiff_t lanes;
  ptrdiff_t first;
  /// Largest key of a channel, then the sum of its powers.
  int32_t* top;
  uint32_t* sums;
  int32_t* query;
  int32_t* result;
  /// [key channel][value channel]
  int32_t* context;
  /// For each position that counts, in order: its keys' powers, then their shares.
  int32_t* shares;
};

/// `body(y, x, n)` for each position that counts, n = 0, 1, ...
template <typename Body>
CLERIC_INLINE void each_key(const LinearAttentionArgs& a, Body&& body) {
  ptrdiff_t n = 0;
  for (int y = 0; y < a.key.height; y++) {
    for (int x = 0; x < a.key.width; x++) {
      if (!a.split || kept(Half::anchor, y, x)) body(y, x, n++);
    }
  }
}

/// exp[top - v] of the head's channels; zero past them.
CLERIC_INLINE void powers(const int16_t* exp, const int32_t* top, const int16_t* from, const Head& h, int32_t* to) {
  for (ptrdiff_t j = 0; j < h.lanes; j += kWidth) {
    const Words below = words(load(top + j)) - words(load(from + j));
    store(to + j, ints(below < splat(kTableSize - 1u) ? below : splat(kTableSize - 1u)));
  }
  for (ptrdiff_t j = 0; j < h.size; j++) to[j] = exp[to[j]];
  for (ptrdiff_t j = h.size; j < h.lanes; j++) to[j] = 0;
}

/// Each key's share of its channel, in 2^-17.
void weigh_keys(const LinearAttentionArgs& a, const Head& h) {
  for (ptrdiff_t j = 0; j < h.lanes; j++) {
    h.top[j] = INT16_MIN;
    h.sums[j] = 0;
  }
  each_key(a, [&](int y, int x, ptrdiff_t) {
    const int16_t* const from = a.key.at(y, x) + h.first;
    for (ptrdiff_t j = 0; j < h.lanes; j += kWidth) {
      const Ints key = load(from + j);
      const Ints top = load(h.top + j);
      store(h.top + j, key > top ? key : top);
    }
  });
  each_key(a, [&](int y, int x, ptrdiff_t n) {
    int32_t* const to = h.shares + n * h.lanes;
    powers(a.exp, h.top, a.key.at(y, x) + h.first, h, to);
    for (ptrdiff_t j = 0; j < h.lanes; j++) h.sums[j] += static_cast<uint32_t>(to[j]);
  });
  for (ptrdiff_t j = h.size; j < h.lanes; j++) h.sums[j] = 1 << 14;
  each_key(a, [&](int, int, ptrdiff_t n) {
    int32_t* const to = h.shares + n * h.lanes;
    for (ptrdiff_t j = 0; j < h.lanes; j += kWidth) {
      const Words sum = words(load(reinterpret_cast<const int32_t*>(h.sums) + j));
      const Words share = quotient((words(load(to + j)) << 17) + (sum >> 1), sum, inverse_of(sum));
      store(to + j, ints(share));
    }
  });
}

/// Values of the channels [j, j + kWidth), as kRows key channels from i on weigh them.
CLERIC_INLINE void sum_values(const LinearAttentionArgs& a, const Head& h, ptrdiff_t i, ptrdiff_t j) {
  Words sum[kRows] = {};
  each_key(a, [&](int y, int x, ptrdiff_t n) {
    const Words value = words(load(a.value.at(y, x) + h.first + j));
    const int32_t* const share = h.shares + n * h.lanes + i;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; r++) sum[r] += words(splat(share[r])) * value;
  });
  for (int r = 0; r < kRows; r++) store(h.context + (i + r) * h.lanes + j, rounded_shift(sum[r], 11));
}

void answer(const LinearAttentionArgs& a, const Head& h, int y, int x) {
  const int16_t* const from = a.query.at(y, x) + h.first;
  int32_t top = from[0];
  for (ptrdiff_t j = 1; j < h.size; j++) top = from[j] > top ? from[j] : top;
  for (ptrdiff_t j = 0; j < h.lanes; j++) h.result[j] = top;
  powers(a.exp, h.result, from, h, h.query);
  uint32_t total = 0;
  for (ptrdiff_t j = 0; j < h.size; j++) total += static_cast<uint32_t>(h.query[j]);
  const Words sum = splat(total);
  const Floats inverse = inverse_of(sum);
  for (ptrdiff_t j = 0; j < h.lanes; j += kWidth) {
    const Words share = quotient((words(load(h.query + j)) << 12) + (sum >> 1), sum, inverse);
    store(h.query + j, ints(share));
  }
  for (ptrdiff_t j = 0; j < h.lanes; j += kWidth) {
    Words result = splat(0u);
    for (ptrdiff_t i = 0; i < h.size; i++) {
      result += words(splat(h.query[i])) * words(load(h.context + i * h.lanes + j));
    }
    store(h.result + j, clamp12(rounded_shift(result, a.shift)));
  }
}

}  // namespace

void linear_attention(const LinearAttentionArgs& a, int head, float* scratch) {
  Head h{};
  h.size = a.output.channels / a.heads;
  h.lanes = padded(static_cast<int>(h.size));
  h.first = head * h.size;
  h.top = reinterpret_cast<int32_t*>(scratch);
  h.sums = reinterpret_cast<uint32_t*>(h.top + h.lanes);
  h.query = h.top + 2 * h.lanes;
  h.result = h.top + 3 * h.lanes;
  h.context = h.top + 4 * h.lanes;
  h.shares = h.context + h.lanes * h.lanes;

  weigh_keys(a, h);
  for (ptrdiff_t i = 0; i < h.size; i += kRows) {
    for (ptrdiff_t j = 0; j < h.lanes; j += kWidth) sum_values(a, h, i, j);
  }
  for (int y = 0; y < a.output.height; y++) {
    for (int x = 0; x < a.output.width; x++) {
      int16_t* const out = a.output.at(y, x) + h.first;
      const bool asks = !a.split || kept(Half::non_anchor, y, x);
      if (asks) answer(a, h, y, x);
      for (ptrdiff_t j = 0; j < h.size; j++) out[j] = asks ? static_cast<int16_t>(h.result[j]) : int16_t{0};
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
