// Integer layers that look at one position, or at its 3x3 neighbourhood, of every channel alone.
#include "cpu/kernels/integers.h"
#include "cpu/kernels/kernels.h"

namespace cleric::cpu::CLERIC_ISA {

void requantise(const RequantiseArgs& a, int item, float*) {
  for (int y = a.rows.first(item); y < a.rows.last(item); y++) {
    for (int x = 0; x < a.output.width; x++) {
      const float* in = a.input.at(y, x);
      int16_t* out = a.output.at(y, x);
      for (ptrdiff_t c = 0; c < a.output.pixel; c += kWidth) {
        store(out + c, clamp12(rounded_shift(words(integers(load(in + c))), a.shift)));
      }
    }
  }
}

void integer_depthwise(const IntegerDepthwiseArgs& a, int item, float*) {
  const ptrdiff_t channels = a.input.pixel;
  for (int y = a.rows.first(item); y < a.rows.last(item); y++) {
    for (ptrdiff_t c = 0; c < channels; c += kWidth) {
      Words w[9];
      for (int t = 0; t < 9; t++) w[t] = words(load(a.weights + t * channels + c));
      const Words bias = words(load(a.bias + c));
      const Ints shift = load(a.shift + c);
      for (int x = 0; x < a.output.width; x++) {
        Words sum = bias;
        for (int t = 0; t < 9; t++) {
          sum += words(load(a.input.at(y + t / 3 - 1, x + t % 3 - 1) + c)) * w[t];
        }
        const Ints v = clamp12(ints(sum) >> shift);
        int16_t* const out = a.output.at(y, x) + c;
        if (!a.table) {
          store(out, v);
          continue;
        }
        alignas(64) int32_t index[kWidth];
        store(index, v);
        for (int i = 0; i < kWidth; i++) out[i] = a.table[index[i] + 2048];
      }
    }
  }
}

namespace {

/// Channels of a position, zero past the last one.
using Values = int32_t[kMaxNormChannels];

CLERIC_INLINE void clear_padding(Values& values, int channels, ptrdiff_t lanes) {
  for (ptrdiff_t c = channels; c < lanes; c++) values[c] = 0;
}

/// The sum of the lanes.
CLERIC_INLINE uint32_t total(Words v) {
  uint32_t sum = 0;
  for (int i = 0; i < kWidth; i++) sum += v[i];
  return sum;
}

int bit_length(uint32_t v) {
  return v == 0 ? 0 : 32 - __builtin_clz(v);
}

/// The largest magnitude among the values.
CLERIC_INLINE uint32_t largest_of(const Values& values, ptrdiff_t lanes) {
  Ints largest = splat(0);
  for (ptrdiff_t c = 0; c < lanes; c += kWidth) {
    const Ints v = load(values + c);
    const Ints magnitude = v < splat(0) ? -v : v;
    largest = largest > magnitude ? largest : magnitude;
  }
  uint32_t a = 0;
  for (int i = 0; i < kWidth; i++) {
    const auto lane = static_cast<uint32_t>(largest[i]);
    a = a > lane ? a : lane;
  }
  return a;
}

/// Shifts the values to the right by e bits, or to the left if e is negative.
CLERIC_INLINE void scale(Values& values, ptrdiff_t lanes, int e) {
  for (ptrdiff_t c = 0; c < lanes; c += kWidth) {
    const Words v = words(load(values + c));
    store(values + c, e > 0 ? rounded_shift(v, e) : ints(v << -e));
  }
}

/// Four times the values, less their mean; see IntegerLayerNormNode. @returns the sum of their squares / 16
CLERIC_INLINE uint32_t centre(Values& values, int channels, ptrdiff_t lanes) {
  Words sums = splat(0u);
  for (ptrdiff_t c = 0; c < lanes; c += kWidth) sums += words(load(values + c));
  const auto count = static_cast<uint32_t>(channels);
  const uint32_t mean = (4 * (total(sums) + 2048 * count) + (count >> 1)) / count - 8192;
  for (ptrdiff_t c = 0; c < lanes; c += kWidth) store(values + c, ints((words(load(values + c)) << 2) - splat(mean)));
  clear_padding(values, channels, lanes);
  Words squares = splat(0u);
  for (ptrdiff_t c = 0; c < lanes; c += kWidth) {
    const Words u = words(load(values + c));
    squares += (u * u + 8) >> 4;
  }
  return total(squares);
}

/// 1 / sqrt of a sum of squares: a factor, and the shift that goes with it.
struct Reciprocal {
  uint32_t factor;
  int shift;
};

/// The norm's epsilon in the scale of values that were shifted by e bits.
uint32_t scaled_epsilon(uint32_t epsilon, int e) {
  const int k = 10 + 2 * e;
  return k < 0 ? epsilon << -k : epsilon >> (k < 31 ? k : 31);
}

Reciprocal reciprocal_root(uint32_t squares, const int32_t* table) {
  // The even shift that leaves 15 or 16 bits.
  const int bits = bit_length(squares);
  const int t = (bits - 15) >> 1;
  const uint32_t w = t > 0 ? squares >> (2 * t) : squares << (-2 * t);
  const auto guess = static_cast<uint32_t>(table[(w >> 7) - 128]);
  const uint32_t p = (w * ((guess * guess) >> 16)) >> 16;
  return {(guess * ((3u << 14) - p)) >> 15, t + 11};
}

}  // namespace

void integer_layer_norm(const IntegerLayerNormArgs& a, int item, float*) {
  const int channels = a.output.channels;
  const ptrdiff_t lanes = a.output.pixel;
  alignas(64) Values values;
  for (int y = a.rows.first(item); y < a.rows.last(item); y++) {
    for (int x = 0; x < a.output.width; x++) {
      for (ptrdiff_t c = 0; c < lanes; c += kWidth) store(values + c, load(a.input, y, x, c));
      clear_padding(values, channels, lanes);
      Reciprocal norm{0, 11};
      const uint32_t largest = largest_of(values, lanes);
      if (largest != 0) {
        const int e = bit_length(largest) - 11;
        scale(values, lanes, e);
        const uint32_t squares = centre(values, channels, lanes) + scaled_epsilon(a.epsilon, e);
        if (squares != 0) norm = reciprocal_root(squares, a.rsqrt);
      }
      int16_t* const out = a.output.at(y, x);
      for (ptrdiff_t c = 0; c < lanes; c += kWidth) {
        const Words n = words(rounded_shift(words(load(values + c)) * splat(norm.factor), norm.shift));
        const Words sum = n * words(load(a.weight + c)) + words(load(a.bias + c));
        store(out + c, clamp12(ints(sum) >> load(a.shift + c)));
      }
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
