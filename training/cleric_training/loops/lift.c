// The nets of the lifting steps (lifting.py), forward and backward in one go, in float32: conv3x3(1->c), tanh,
// conv3x3(c->c), tanh, conv1x1(c->1), zeros outside. With a handful of channels at full resolution a general
// convolution spends its time on moving them; here 16 neighbouring columns are a vector, and a row's channels
// stay in the first-level cache. Included by fast.c; vectors are the extension of GCC and Clang.
//
// Planes are [rows, width], width a multiple of 16. Hidden maps are padded: [rows + 2][c][PAD + width + PAD], zeros
// at all edges. c is 4, 8, 16 or 32.
//
//   weights: w1 [c][9], b1 [c], w2 [c out][c in][9], b2 [c], w3 [c], b3 [1], one after the other
#include <stdlib.h>

#define LANES 16
#define PAD 16
typedef float vec __attribute__((vector_size(LANES * 4)));

static inline vec load(const float *p) {
  vec v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void store(float *p, vec v) { memcpy(p, &v, sizeof v); }

static inline float sum(vec v) {
  float s = 0.f;
  for (int j = 0; j < LANES; j++) s += v[j];
  return s;
}

static inline float tanh_fast(float v) {
  float e = exp_negative(-2.f * fabsf(v));
  return copysignf((1.f - e) / (1.f + e), v);
}

static inline void tanh_row(float *restrict p, int64_t n) {
  for (int64_t i = 0; i < n; i++) p[i] = tanh_fast(p[i]);
}

// out[p] = sum over i, tap of w[i][tap] x[i][p + tap]: 3x3 from `from` maps to `to` maps at one row, both padded;
// w [from][9][to]; starts from bias [to], or zeros.
static inline __attribute__((always_inline)) void conv_row(const float *restrict x, const float *restrict w,
                                                           const float *restrict bias, float *restrict out,
                                                           int64_t width, int from, int to) {
  int64_t stride = width + 2 * PAD;
  for (int first = 0; first < to; first += 8) {
    int some = to - first < 8 ? to - first : 8;
    for (int64_t at = 0; at < width; at += LANES) {
      vec acc[8];
      for (int o = 0; o < some; o++) acc[o] = (vec){} + (bias ? bias[first + o] : 0.f);
      for (int i = 0; i < from; i++) {
        for (int tap = 0; tap < 9; tap++) {
          vec v = load(x + ((int64_t)(tap / 3) * from + i) * stride + PAD + at + tap % 3 - 1);
          const float *k = w + (i * 9 + tap) * to + first;
          for (int o = 0; o < some; o++) acc[o] += v * k[o];
        }
      }
      for (int o = 0; o < some; o++) store(out + (first + o) * stride + PAD + at, acc[o]);
    }
  }
}

// dw [from][9][to] += sum over the row of x[i][p + tap] g[o][p].
static inline __attribute__((always_inline)) void weights_row(const float *restrict x, const float *restrict g,
                                                              vec *restrict dw, int64_t width, int from, int to) {
  int64_t stride = width + 2 * PAD;
  for (int first = 0; first < to; first += 8) {
    int some = to - first < 8 ? to - first : 8;
    for (int i = 0; i < from; i++) {
      for (int dy = 0; dy < 3; dy++) {
        vec acc[3][8];
        for (int dx = 0; dx < 3; dx++)
          for (int o = 0; o < some; o++) acc[dx][o] = (vec){};
        const float *row = x + ((int64_t)dy * from + i) * stride + PAD;
        for (int64_t at = 0; at < width; at += LANES) {
          vec a = load(row + at - 1), b = load(row + at), c = load(row + at + 1);
          for (int o = 0; o < some; o++) {
            vec d = load(g + (first + o) * stride + PAD + at);
            acc[0][o] += a * d;
            acc[1][o] += b * d;
            acc[2][o] += c * d;
          }
        }
        for (int dx = 0; dx < 3; dx++)
          for (int o = 0; o < some; o++) dw[(i * 9 + dy * 3 + dx) * to + first + o] += acc[dx][o];
      }
    }
  }
}

static inline __attribute__((always_inline)) void forward(const float *x, const float *weights, float *a1, float *a2,
                                                          float *y, int64_t rows, int64_t width, int c) {
  int64_t stride = width + 2 * PAD;
  const float *w1 = weights, *b1 = w1 + 9 * c, *w2 = b1 + c, *b2 = w2 + 9 * c * c, *w3 = b2 + c, *b3 = w3 + c;
  float k1[9 * 32], k2[9 * 32 * 32];
  for (int o = 0; o < c; o++)
    for (int tap = 0; tap < 9; tap++) {
      k1[tap * c + o] = w1[o * 9 + tap];
      for (int i = 0; i < c; i++) k2[(i * 9 + tap) * c + o] = w2[(o * c + i) * 9 + tap];
    }
  for (int64_t r = 0; r < rows; r++) {
    float *out = a1 + (r + 1) * c * stride;
    conv_row(x + r * stride, k1, b1, out, width, 1, c);
    for (int o = 0; o < c; o++) tanh_row(out + o * stride + PAD, width);
  }
  for (int64_t r = 0; r < rows; r++) {
    float *out = a2 + (r + 1) * c * stride;
    conv_row(a1 + r * c * stride, k2, b2, out, width, c, c);
    for (int o = 0; o < c; o++) tanh_row(out + o * stride + PAD, width);
    for (int64_t at = 0; at < width; at += LANES) {
      vec acc = (vec){} + b3[0];
      for (int o = 0; o < c; o++) acc += w3[o] * load(out + o * stride + PAD + at);
      store(y + r * width + at, acc);
    }
  }
}

// What `backward` has summed by lanes, added to dweights.
static inline void add_up(float *dweights, const vec *s1, const vec *s2, const vec *t1, const vec *t2, const vec *t3, vec last,
                          int c) {
  float *dw1 = dweights, *db1 = dw1 + 9 * c, *dw2 = db1 + c, *db2 = dw2 + 9 * c * c, *dw3 = db2 + c, *db3 = dw3 + c;
  for (int o = 0; o < c; o++) {
    db1[o] += sum(t1[o]);
    db2[o] += sum(t2[o]);
    dw3[o] += sum(t3[o]);
    for (int tap = 0; tap < 9; tap++) {
      dw1[o * 9 + tap] += sum(s1[tap * c + o]);
      for (int i = 0; i < c; i++) dw2[(o * c + i) * 9 + tap] += sum(s2[(i * 9 + tap) * c + o]);
    }
  }
  db3[0] += sum(last);
}

static inline __attribute__((always_inline)) void backward(const float *x, const float *weights, const float *a1,
                                                           const float *a2, const float *dy, float *dx, float *dweights,
                                                           float *g1, float *g2, int64_t rows, int64_t width, int c) {
  int64_t stride = width + 2 * PAD;
  const float *w1 = weights, *w2 = w1 + 10 * c, *w3 = w2 + 9 * c * c + c;
  float k1[9 * 32], k2[9 * 32 * 32]; // turned by 180 degrees and transposed
  for (int o = 0; o < c; o++)
    for (int tap = 0; tap < 9; tap++) {
      k1[o * 9 + 8 - tap] = w1[o * 9 + tap];
      for (int i = 0; i < c; i++) k2[(o * 9 + 8 - tap) * c + i] = w2[(o * c + i) * 9 + tap];
    }
  vec s1[9 * 32], *s2 = aligned_alloc(64, sizeof(vec) * 9 * c * c), t1[32], t2[32], t3[32], last = {};
  memset(s1, 0, sizeof s1);
  memset(s2, 0, sizeof(vec) * 9 * c * c);
  memset(t1, 0, sizeof t1);
  memset(t2, 0, sizeof t2);
  memset(t3, 0, sizeof t3);
  for (int64_t r = 0; r < rows; r++) {
    const float *a = a2 + (r + 1) * c * stride + PAD;
    float *g = g2 + (r + 1) * c * stride + PAD;
    for (int64_t at = 0; at < width; at += LANES) {
      vec d = load(dy + r * width + at);
      last += d;
      for (int o = 0; o < c; o++) {
        vec v = load(a + o * stride + at), dz = d * w3[o] * (1.f - v * v);
        t3[o] += d * v;
        t2[o] += dz;
        store(g + o * stride + at, dz);
      }
    }
    if (dweights) weights_row(a1 + r * c * stride, g - PAD, s2, width, c, c);
  }
  for (int64_t r = 0; r < rows; r++) {
    const float *a = a1 + (r + 1) * c * stride + PAD;
    float *g = g1 + (r + 1) * c * stride + PAD;
    conv_row(g2 + r * c * stride, k2, 0, g - PAD, width, c, c);
    for (int o = 0; o < c; o++)
      for (int64_t at = 0; at < width; at += LANES) {
        vec v = load(a + o * stride + at), dz = load(g + o * stride + at) * (1.f - v * v);
        t1[o] += dz;
        store(g + o * stride + at, dz);
      }
    if (dweights) weights_row(x + r * stride, g - PAD, s1, width, 1, c);
  }
  float out[PAD + width + PAD];
  for (int64_t r = 0; r < rows; r++) {
    conv_row(g1 + r * c * stride, k1, 0, out, width, c, 1);
    memcpy(dx + r * width, out + PAD, width * sizeof(float));
  }
  if (dweights) add_up(dweights, s1, s2, t1, t2, t3, last, c);
  free(s2);
}

static float *padded(int64_t planes, int64_t width, int64_t rows) {
  return calloc((rows + 2) * planes * (width + 2 * PAD), sizeof(float));
}

static void copy_in(const float *x, float *into, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++) memcpy(into + (r + 1) * (width + 2 * PAD) + PAD, x + r * width, width * sizeof(float));
}

// Floats that `lift_forward` writes to `kept` for one plane.
int64_t lift_kept(int64_t rows, int64_t width, int64_t c) { return 2 * c * (rows + 2) * (width + 2 * PAD); }

// Zeros round a padded map; what lies inside is written by the convs.
static void clear_edges(float *map, int64_t rows, int64_t width, int64_t c) {
  int64_t stride = width + 2 * PAD;
  memset(map, 0, c * stride * sizeof(float));
  memset(map + (rows + 1) * c * stride, 0, c * stride * sizeof(float));
  for (int64_t row = c; row < (rows + 1) * c; row++) {
    memset(map + row * stride, 0, PAD * sizeof(float));
    memset(map + row * stride + PAD + width, 0, PAD * sizeof(float));
  }
}

// x, y [n, rows, width]; kept [n, lift_kept].
void lift_forward(const float *x, const float *weights, float *kept, float *y, int64_t n, int64_t rows, int64_t width,
                  int64_t c) {
  int64_t map = c * (rows + 2) * (width + 2 * PAD);
  float *in = padded(1, width, rows);
  for (int64_t p = 0; p < n; p++) {
    copy_in(x + p * rows * width, in, rows, width);
    float *a1 = kept + 2 * p * map, *a2 = a1 + map, *to = y + p * rows * width;
    clear_edges(a1, rows, width, c);
    clear_edges(a2, rows, width, c);
    if (c == 8) forward(in, weights, a1, a2, to, rows, width, 8);
    else if (c == 4) forward(in, weights, a1, a2, to, rows, width, 4);
    else forward(in, weights, a1, a2, to, rows, width, (int)c);
  }
  free(in);
}

// dy, dx [n, rows, width]; dweights, laid out as the weights, is added to, unless it is 0.
void lift_backward(const float *x, const float *weights, const float *kept, const float *dy, float *dx, float *dweights,
                   int64_t n, int64_t rows, int64_t width, int64_t c) {
  int64_t map = c * (rows + 2) * (width + 2 * PAD);
  float *in = padded(1, width, rows), *g1 = padded(c, width, rows), *g2 = padded(c, width, rows);
  for (int64_t p = 0; p < n; p++) {
    copy_in(x + p * rows * width, in, rows, width);
    const float *a1 = kept + 2 * p * map, *a2 = a1 + map, *d = dy + p * rows * width;
    float *to = dx + p * rows * width;
    if (c == 8) backward(in, weights, a1, a2, d, to, dweights, g1, g2, rows, width, 8);
    else if (c == 4) backward(in, weights, a1, a2, d, to, dweights, g1, g2, rows, width, 4);
    else backward(in, weights, a1, a2, d, to, dweights, g1, g2, rows, width, (int)c);
  }
  free(in);
  free(g1);
  free(g2);
}
