// The attentions of the entropy model.
#include "kernels.h"
#include "simd.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// Of a window.
constexpr int kSide = 5;

/// One head of the window round (row, column): 25 queries, keys and values, zero outside the image.
struct Window {
  /// Queries lie side by side in lanes, so that softmax needs no sum across lanes: [channels][kQueryLanes].
  float* queries;
  /// [25][channels]
  float* keys;
  float* values;
  /// [25][kQueryLanes]: logits, then weights, of each key for all queries.
  float* weights;
  /// 1 where a query is an anchor inside the image.
  alignas(64) float anchors[kQueryLanes];
};

void gather(const WindowAttentionArgs& a, int head, int row, int column, int size, ptrdiff_t stride, Window& w) {
  const View& qkv = a.qkv;
  const ptrdiff_t d = a.output.channels;
  for (int t = 0; t < kWindow; t++) {
    const int y = row + t / kSide - 2;
    const int x = column + t % kSide - 2;
    const bool inside = y >= 0 && x >= 0 && y < qkv.height && x < qkv.width;
    w.anchors[t] = inside && kept(Half::anchor, y, x) ? 1.0f : 0.0f;
    float* const queries = w.queries + t;
    float* const keys = w.keys + t * stride;
    float* const values = w.values + t * stride;
    if (!inside) {
      for (int j = 0; j < size; j++) queries[j * kQueryLanes] = keys[j] = values[j] = 0.0f;
      continue;
    }
    const float* from = qkv.at(y, x) + head * size;
    for (int j = 0; j < size; j++) queries[j * kQueryLanes] = from[j];
    for (int j = 0; j < size; j++) keys[j] = from[d + j];
    for (int j = 0; j < size; j++) values[j] = from[2 * d + j];
  }
}

/// Registers that hold one number of each query.
constexpr int kQueries = kQueryLanes / kWidth;
/// Keys, or queries, that are worked on at once.
constexpr int kAtOnce = kWidth == 16 ? 5 : 1;

/// Logits of all queries and keys.
void score(const Window& w, int size, ptrdiff_t stride, float factor, const float* bias) {
  for (int first = 0; first < kWindow; first += kAtOnce) {
    Floats dot[kAtOnce][kQueries] = {};
    for (int j = 0; j < size; j++) {
      Floats q[kQueries];
#pragma GCC unroll 8
      for (int r = 0; r < kQueries; r++) q[r] = load(w.queries + j * kQueryLanes + r * kWidth);
#pragma GCC unroll 5
      for (int k = 0; k < kAtOnce; k++) {
        const Floats key = splat(w.keys[(first + k) * stride + j]);
#pragma GCC unroll 8
        for (int r = 0; r < kQueries; r++) dot[k][r] = multiply_add(key, q[r], dot[k][r]);
      }
    }
    for (int k = 0; k < kAtOnce; k++) {
      // Where neither of a query's pairs is of two anchors, the penalty is the same for all and cancels.
      const Floats penalty = splat(w.anchors[first + k] == 0.0f ? -100.0f : 0.0f);
      for (int r = 0; r < kQueries; r++) {
        const ptrdiff_t at = (first + k) * kQueryLanes + r * kWidth;
        const Floats logit = multiply_add(dot[k][r], splat(factor), load(bias + at));
        store(w.weights + at, multiply_add(load(w.anchors + r * kWidth), penalty, logit));
      }
    }
  }
}

/// Softmax over the keys, for each query in its lane.
void normalise(const Window& w) {
  for (int r = 0; r < kQueries; r++) {
    float* const own = w.weights + r * kWidth;
    Floats top = load(own);
    for (int k = 1; k < kWindow; k++) top = larger(load(own + k * kQueryLanes), top);
    Floats sum = splat(0.0f);
    for (int k = 0; k < kWindow; k++) {
      const Floats power = exponential(load(own + k * kQueryLanes) - top);
      sum = sum + power;
      store(own + k * kQueryLanes, power);
    }
    const Floats inverse = splat(1.0f) / sum;
    for (int k = 0; k < kWindow; k++) store(own + k * kQueryLanes, load(own + k * kQueryLanes) * inverse);
  }
}

/// The weighted values of channels [first, first + R registers), for each query.
template <int R>
CLERIC_INLINE void combine(const View& out, const Window& w, int row, int column, ptrdiff_t head, int first, int size,
                           ptrdiff_t stride) {
  for (int query = 0; query < kWindow; query += kSide) {
    Floats sum[kSide][R] = {};
    for (int k = 0; k < kWindow; k++) {
      Floats v[R];
#pragma GCC unroll 2
      for (int r = 0; r < R; r++) v[r] = load(w.values + k * stride + first + r * kWidth);
#pragma GCC unroll 5
      for (int q = 0; q < kSide; q++) {
        const Floats weight = splat(w.weights[k * kQueryLanes + query + q]);
#pragma GCC unroll 2
        for (int r = 0; r < R; r++) sum[q][r] = multiply_add(weight, v[r], sum[q][r]);
      }
    }
    for (int q = 0; q < kSide; q++) {
      float* to = out.at(kSide * row + query / kSide, kSide * column + q) + head + first;
      for (int r = 0; r < R; r++) {
        const int left = size - first - r * kWidth;
        if (left >= kWidth)
          store(to + r * kWidth, sum[q][r]);
        else
          for (int i = 0; i < left; i++) to[r * kWidth + i] = sum[q][r][i];
      }
    }
  }
}

}  // namespace

void window_attention(const WindowAttentionArgs& a, int item, float* scratch) {
  const int size = a.output.channels / a.heads;
  const ptrdiff_t stride = padded(size);
  Window w{};
  w.queries = scratch;
  w.keys = w.queries + stride * kQueryLanes;
  w.values = w.keys + kWindow * stride;
  w.weights = w.values + kWindow * stride;
  // The lanes past the last query hold numbers too; nobody looks, but they must not be slow ones.
  for (ptrdiff_t i = 0; i < size * kQueryLanes; i++) w.queries[i] = 0;
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
        score(w, size, stride, factor, a.bias + head * kWindow * kQueryLanes);
        normalise(w);
        const ptrdiff_t own = head * size;
        int first = 0;
        for (; first + kWidth < size; first += 2 * kWidth)
          combine<2>(a.output, w, row, column, own, first, size, stride);
        for (; first < size; first += kWidth) combine<1>(a.output, w, row, column, own, first, size, stride);
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
