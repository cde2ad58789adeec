// Deformable columns: for every output position and every tap of a 3x3 DCNv2 the modulated bilinear
// sample of all channels, channels last, so that the inner loops run over contiguous memory. The
// product with the weights is a plain matrix product in PyTorch. Included by fast.c once for each
// storage type T of images and columns, with LOAD and STORE from and to float.
//
//   x       [H, W, C]        T
//   shift   [P, 27]          float: 9 dy, 9 dx, 9 modulations in (0, 1); P = Ho * Wo
//   columns [P, 9, C]        T
//
// Outside the image there are zeros, sample by sample.

void NAME(deform_columns)(const T *restrict x, const float *restrict shift, T *restrict columns, int64_t h, int64_t w,
                          int64_t c, int64_t ho, int64_t wo, int64_t stride) {
  for (int64_t p = 0; p < ho * wo; p++) {
    for (int64_t k = 0; k < 9; k++) {
      const float *s = shift + p * 27 + k;
      struct corners at = locate(s[0] + (float)(p / wo * stride + k / 3 - 1), s[9] + (float)(p % wo * stride + k % 3 - 1), h, w);
      const T *a = x + at.index[0] * c, *b = x + at.index[1] * c, *d = x + at.index[2] * c, *e = x + at.index[3] * c;
      float wa = at.weight[0] * s[18], wb = at.weight[1] * s[18], wd = at.weight[2] * s[18], we = at.weight[3] * s[18];
      T *out = columns + (p * 9 + k) * c;
      for (int64_t i = 0; i < c; i++) out[i] = STORE(wa * LOAD(a[i]) + wb * LOAD(b[i]) + wd * LOAD(d[i]) + we * LOAD(e[i]));
    }
  }
}

// Gradients of the above. dx [H, W, C] float is added to and must start at zero; dshift [P, 27] float is written.
void NAME(deform_columns_backward)(const T *restrict x, const float *restrict shift, const T *restrict dcolumns,
                                   float *restrict dx, float *restrict dshift, int64_t h, int64_t w, int64_t c,
                                   int64_t ho, int64_t wo, int64_t stride) {
  for (int64_t p = 0; p < ho * wo; p++) {
    for (int64_t k = 0; k < 9; k++) {
      const float *s = shift + p * 27 + k;
      struct corners at = locate(s[0] + (float)(p / wo * stride + k / 3 - 1), s[9] + (float)(p % wo * stride + k % 3 - 1), h, w);
      const T *g = dcolumns + (p * 9 + k) * c;
      float dot[4];
      for (int n = 0; n < 4; n++) {
        const T *v = x + at.index[n] * c;
        float *d = dx + at.index[n] * c, weight = at.weight[n] * s[18], sum = 0.f;
        for (int64_t i = 0; i < c; i++) sum += LOAD(g[i]) * LOAD(v[i]);
        if (at.inside[n] != 0.f)
          for (int64_t i = 0; i < c; i++) d[i] += weight * LOAD(g[i]);
        dot[n] = sum * at.inside[n];
      }
      float fy = at.fy, fx = at.fx;
      float *out = dshift + p * 27 + k;
      out[0] = s[18] * ((1 - fx) * (dot[2] - dot[0]) + fx * (dot[3] - dot[1]));
      out[9] = s[18] * ((1 - fy) * (dot[1] - dot[0]) + fy * (dot[3] - dot[2]));
      out[18] = (1 - fy) * ((1 - fx) * dot[0] + fx * dot[1]) + fy * ((1 - fx) * dot[2] + fx * dot[3]);
    }
  }
}
