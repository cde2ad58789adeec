// The attentions of the entropy model.
#include "kernels.h"
#include "simd.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// Of a window.
constexpr int kSide = 5;

/// Lanes' maximum or sum as a fixed tree over kKeyLanes, the same on every instruction set.
template <typename Combine>
CLERIC_INLINE float reduce(const float* lanes, int count, Combine&& combine) {
  float values[kKeyLanes];
  for (int i = 0; i < count; i++) values[i] = lanes[i];
  for (int n = count / 2; n > 0; n /= 2) {
    for (int i = 0; i < n; i++) values[i] = combine(values[i], values[i + n]);
  }
  return values[0];
}

CLERIC_INLINE float sum_of(const float* lanes, int count) {
  return reduce(lanes, count, [](float a, float b) { return a + b; });
}

CLERIC_INLINE float maximum_of(const float* lanes, int count) {
  return reduce(lanes, count, [](float a, float b) { return a > b ? a : b; });
}

/// weights = softmax(logits), unnormalised; returns 1 / their sum. `count` is a power of two and at most kKeyLanes.
CLERIC_INLINE float softmax(const float* logits, int count, float* weights) {
  const Floats top = splat(maximum_of(logits, count));
  for (int i = 0; i < count; i += kWidth) store(weights + i, exponential(load(logits + i) - top));
  return 1.0f / sum_of(weights, count);
}

/// One head of the window round (row, column): 25 queries, keys and values, zero outside the image.
struct Window {
  /// [25][channels], [channels][kKeyLanes], [25][channels]
  float* queries;
  float* keys;
  float* values;
  bool anchors[kWindow];
};

void gather(const WindowAttentionArgs& a, int head, int row, int column, int size, ptrdiff_t stride, Window& w) {
  const View& qkv = a.qkv;
  const ptrdiff_t d = a.output.channels;
  for (int t = 0; t < kWindow; t++) {
    const int y = row + t / kSide - 2;
    const int x = column + t % kSide - 2;
    const bool inside = y >= 0 && x >= 0 && y < qkv.height && x < qkv.width;
    w.anchors[t] = inside && kept(Half::anchor, y, x);
    const float* from = inside ? qkv.at(y, x) + head * size : nullptr;
    for (int j = 0; j < size; j++) {
      w.queries[t * stride + j] = inside ? from[j] : 0.0f;
      w.keys[j * kKeyLanes + t] = inside ? from[d + j] : 0.0f;
      w.values[t * stride + j] = inside ? from[2 * d + j] : 0.0f;
    }
  }
}

/// Softmax weights of query t over the keys, normalised.
CLERIC_INLINE void attend(const Window& w, int t, int size, ptrdiff_t stride, float factor, const float* bias,
                          float* weights) {
  constexpr int kRegisters = kKeyLanes / kWidth;
  Floats dot[kRegisters] = {};
  for (int j = 0; j < size; j++) {
    const Floats q = splat(w.queries[t * stride + j]);
    for (int r = 0; r < kRegisters; r++) dot[r] = multiply_add(q, load(w.keys + j * kKeyLanes + r * kWidth), dot[r]);
  }
  alignas(64) float logits[kKeyLanes];
  for (int r = 0; r < kRegisters; r++) {
    store(logits + r * kWidth, multiply_add(dot[r], splat(factor), load(bias + t * kKeyLanes + r * kWidth)));
  }
  // Where no pair is of two anchors, the penalty is the same for all and cancels.
  if (w.anchors[t]) {
    for (int k = 0; k < kWindow; k++) logits[k] -= w.anchors[k] ? 0.0f : 100.0f;
  }
  for (int k = kWindow; k < kKeyLanes; k++) logits[k] = -__builtin_inff();
  const float inverse = softmax(logits, kKeyLanes, weights);
  for (int k = 0; k < kWindow; k++) weights[k] *= inverse;
}

}  // namespace

void window_attention(const WindowAttentionArgs& a, int item, float* scratch) {
  const int size = a.output.channels / a.heads;
  const ptrdiff_t stride = padded(size);
  Window w{scratch, scratch + kWindow * stride, scratch + (kWindow + kKeyLanes) * stride, {}};
  const float factor = 1.0f / __builtin_sqrtf(static_cast<float>(size));
  for (int row = a.rows.first(item); row < a.rows.last(item); row++) {
    for (int column = 0; column < a.qkv.width; column++) {
      if (kept(Half::anchor, row, column)) {
        // Nobody looks at these; zero, so that they are the same every time.
        for (int t = 0; t < kWindow; t++) {
          float* out = a.output.at(kSide * row + t / kSide, kSide * column + t % kSide);
          for (int c = 0; c < a.output.channels; c++) out[c] = 0;
        }
        continue;
      }
      for (int head = 0; head < a.heads; head++) {
        gather(a, head, row, column, size, stride, w);
        for (int t = 0; t < kWindow; t++) {
          alignas(64) float weights[kKeyLanes];
          attend(w, t, size, stride, factor, a.bias + head * kWindow * kKeyLanes, weights);
          float* out = a.output.at(kSide * row + t / kSide, kSide * column + t % kSide) + head * size;
          for (int j = 0; j < size; j += kWidth) {
            Floats sum = splat(0.0f);
            for (int k = 0; k < kWindow; k++) {
              sum = multiply_add(splat(weights[k]), load(w.values + k * stride + j), sum);
            }
            if (j + kWidth <= size) {
              store(out + j, sum);
            } else {
              for (int i = 0; j + i < size; i++) out[j + i] = sum[i];
            }
          }
        }
      }
    }
  }
}

namespace {

/// The head's channels of a pixel as registers; channels past the head's are `fill`.
CLERIC_INLINE void take(const float* from, int size, float fill, float* to) {
  for (int j = 0; j < padded(size); j++) to[j] = j < size ? from[j] : fill;
}

}  // namespace

void linear_attention(const LinearAttentionArgs& a, int head, float* scratch) {
  const int size = a.output.channels / a.heads;
  const ptrdiff_t lanes = padded(size);
  const ptrdiff_t first = head * size;
  float* const top = scratch;
  float* const sums = top + lanes;
  float* const keys = sums + lanes;
  float* const values = keys + lanes;
  // [key channel][value channel]
  float* const context = values + lanes;
  const int height = a.query.height;
  const int width = a.query.width;
  const auto counted = [&](int y, int x) { return !a.split || kept(Half::anchor, y, x); };

  for (ptrdiff_t j = 0; j < lanes; j++) {
    top[j] = -__builtin_inff();
    sums[j] = 0;
  }
  for (ptrdiff_t i = 0; i < lanes * lanes; i++) context[i] = 0;
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      if (!counted(y, x)) continue;
      take(a.key.at(y, x) + first, size, 0, keys);
      for (ptrdiff_t j = 0; j < lanes; j += kWidth) store(top + j, larger(load(keys + j), load(top + j)));
    }
  }
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      if (!counted(y, x)) continue;
      take(a.key.at(y, x) + first, size, 0, keys);
      take(a.value.at(y, x) + first, size, 0, values);
      for (ptrdiff_t j = 0; j < lanes; j += kWidth) {
        const Floats power = exponential(load(keys + j) - load(top + j));
        store(keys + j, power);
        store(sums + j, load(sums + j) + power);
      }
      for (int k = 0; k < size; k++) {
        const Floats key = splat(keys[k]);
        float* row = context + k * lanes;
        for (ptrdiff_t j = 0; j < lanes; j += kWidth) {
          store(row + j, multiply_add(key, load(values + j), load(row + j)));
        }
      }
    }
  }
  for (int k = 0; k < size; k++) {
    // An image of one pixel has no anchor.
    const float divisor = sums[k] == 0.0f ? 1.0f : sums[k];
    for (ptrdiff_t j = 0; j < lanes; j++) context[k * lanes + j] /= divisor;
  }

  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      float* out = a.output.at(y, x) + first;
      if (a.split && !kept(Half::non_anchor, y, x)) {
        for (int j = 0; j < size; j++) out[j] = 0;
        continue;
      }
      float* const query = keys;
      take(a.query.at(y, x) + first, size, -__builtin_inff(), query);
      float highest = query[0];
      for (int j = 1; j < size; j++) highest = query[j] > highest ? query[j] : highest;
      for (ptrdiff_t j = 0; j < lanes; j += kWidth) store(query + j, exponential(load(query + j) - splat(highest)));
      float sum = 0;
      for (int j = 0; j < size; j++) sum += query[j];
      const float inverse = 1.0f / sum;
      for (ptrdiff_t j = 0; j < lanes; j += kWidth) {
        Floats result = splat(0.0f);
        for (int k = 0; k < size; k++) {
          result = multiply_add(splat(query[k] * inverse), load(context + k * lanes + j), result);
        }
        store(values + j, result);
      }
      for (int j = 0; j < size; j++) out[j] = values[j];
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
