// The loops of training that PyTorch 1.13 runs far below memory speed on a CPU: exact GELU on bfloat16, the
// optimiser's steps with the average of the weights, deformable sampling (deform.c) and the lifting nets (lift.c).
// Compiled by fast.py; plain C that the compiler vectorises (no intrinsics), so any x86-64 or ARM machine may build it.
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float widen(uint16_t h) {
  uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// Round to nearest, ties to even. NaN stays NaN but for one pattern, which no loop here produces.
static inline uint16_t narrow(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// exp(v) for v <= 0, relative error below 1e-6; below -80 it is about 0.
static inline float exp_negative(float v) {
  v = v < -80.f ? -80.f : v;
  float n = rintf(v * 1.44269504f);
  float r = v - n * 0.693147180f;
  float p = 1.f + r * (1.f + r * (0.5f + r * (0.16666667f + r * (0.041666667f + r * 0.0083333333f))));
  int32_t bits = ((int32_t)n + 127) << 23;
  float scale;
  memcpy(&scale, &bits, 4);
  return p * scale;
}

// Phi(x), given e = exp(-x^2 / 2). Abramowitz & Stegun 7.1.26, absolute error 1.5e-7.
static inline float normal_cdf(float x, float e) {
  float a = fabsf(x) * 0.70710678f;
  float t = 1.f / (1.f + 0.3275911f * a);
  float tail = 0.5f * e * t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  return x < 0.f ? tail : 1.f - tail;
}

void gelu_forward(const uint16_t *restrict x, uint16_t *restrict y, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float v = widen(x[i]);
    y[i] = narrow(v * normal_cdf(v, exp_negative(-0.5f * v * v)));
  }
}

// dx = dy (Phi(x) + x phi(x))
void gelu_backward(const uint16_t *restrict x, const uint16_t *restrict dy, uint16_t *restrict dx, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float v = widen(x[i]);
    float e = exp_negative(-0.5f * v * v);
    dx[i] = narrow(widen(dy[i]) * (normal_cdf(v, e) + v * 0.39894228f * e));
  }
}

// One Adam step on n weights; g is scaled by `clip` first, `average` follows the new weights.
// `rate` and `root` carry the bias corrections: w -= rate m / (root sqrt(v) + eps).
void adam(float *restrict w, const float *restrict g, float *restrict m, float *restrict v, float *restrict average,
          int64_t n, float clip, float rate, float root, float beta1, float beta2, float eps, float decay) {
  for (int64_t i = 0; i < n; i++) {
    float d = g[i] * clip;
    m[i] = beta1 * m[i] + (1.f - beta1) * d;
    v[i] = beta2 * v[i] + (1.f - beta2) * d * d;
    w[i] -= rate * m[i] / (root * sqrtf(v[i]) + eps);
    average[i] += (1.f - decay) * (w[i] - average[i]);
  }
}

// One step of BALANCED (optimise.py) on n weights: m / v at the length of Adam's m / sqrt(v). `correct1` and `correct2`
// are 1 / (1 - beta^count); `damping` is a share of the mean of v.
void balanced(float *restrict w, const float *restrict g, float *restrict m, float *restrict v, float *restrict average,
              int64_t n, float clip, float rate, float correct1, float correct2, float beta1, float beta2, float eps,
              float damping, float decay) {
  double length = 0, total = 0, norm = 0;
  for (int64_t start = 0; start < n; start += 4096) {
    int64_t end = start + 4096 < n ? start + 4096 : n;
    float some_length = 0.f, some_total = 0.f;
    for (int64_t i = start; i < end; i++) {
      float d = g[i] * clip;
      m[i] = beta1 * m[i] + (1.f - beta1) * d;
      v[i] = beta2 * v[i] + (1.f - beta2) * d * d;
      float root = sqrtf(v[i] * correct2), step = m[i] * correct1 / (root + eps);
      some_length += step * step;
      some_total += v[i] * correct2;
    }
    length += some_length;
    total += some_total;
  }
  float floor = damping * (float)(total / (double)n) + 1.17549435e-38f;
  for (int64_t start = 0; start < n; start += 4096) {
    int64_t end = start + 4096 < n ? start + 4096 : n;
    float some = 0.f;
    for (int64_t i = start; i < end; i++) {
      float step = m[i] * correct1 / (v[i] * correct2 + floor);
      some += step * step;
    }
    norm += some;
  }
  float scale = norm > 0 ? rate * (float)sqrt(length / norm) : 0.f;
  for (int64_t i = 0; i < n; i++) {
    w[i] -= scale * (m[i] * correct1 / (v[i] * correct2 + floor));
    average[i] += (1.f - decay) * (w[i] - average[i]);
  }
}

// The four pixels round a sample point; one outside the image has weight and `inside` 0 and index 0.
struct corners {
  int64_t index[4];
  float weight[4], inside[4], fy, fx;
};

static inline struct corners locate(float y, float x, int64_t h, int64_t w) {
  struct corners at;
  // Far outside, or not a number: everything reads zero, and the casts below stay defined.
  if (!(y > -2.f && y < (float)h + 1.f && x > -2.f && x < (float)w + 1.f)) y = x = -2.f;
  float top = floorf(y), left = floorf(x);
  at.fy = y - top;
  at.fx = x - left;
  for (int n = 0; n < 4; n++) {
    int64_t row = (int64_t)top + n / 2, column = (int64_t)left + n % 2;
    int in = row >= 0 && row < h && column >= 0 && column < w;
    at.inside[n] = (float)in;
    at.index[n] = in ? row * w + column : 0;
    at.weight[n] = in ? (n / 2 ? at.fy : 1.f - at.fy) * (n % 2 ? at.fx : 1.f - at.fx) : 0.f;
  }
  return at;
}

#define T uint16_t
#define LOAD(v) widen(v)
#define STORE(v) narrow(v)
#define NAME(f) f##_bf16
#include "deform.c"
#undef T
#undef LOAD
#undef STORE
#undef NAME
#define T float
#define LOAD(v) (v)
#define STORE(v) (v)
#define NAME(f) f##_f32
#include "deform.c"

#include "lift.c"
