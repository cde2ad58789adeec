// What the lifting steps have in common: the filter that the small net is given.
#pragma once

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd.h"

namespace cleric::cpu::CLERIC_ISA {

static CLERIC_INLINE void clear(float* from, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) from[i] = 0;
}

/// factor * (v_i + its neighbour), zero outside the image.
static inline void filter_row(const LiftArgs& a, ptrdiff_t plane, ptrdiff_t y, float* out, ptrdiff_t stride) {
  const View& v = a.source;
  if (y < 0 || y >= v.height) {
    clear(out - kLanes, stride);
    return;
  }
  const float* own = v.data + plane * v.channel + y * v.row;
  const ptrdiff_t width = v.width;
  if (a.along_rows) {
    const ptrdiff_t other = a.next ? (y + 1 < v.height ? y + 1 : y) : (y > 0 ? y - 1 : y);
    const float* neighbour = own + (other - y) * v.row;
    const auto weight = [&](ptrdiff_t row) { return row == v.height - 1 ? a.source_end : 1.0f; };
    const float own_weight = weight(y);
    const float neighbour_weight = weight(other);
    for (ptrdiff_t x = 0; x < width; x++) out[x] = a.factor * (own_weight * own[x] + neighbour_weight * neighbour[x]);
  } else {
    const float end = a.source_end * own[width - 1];
    const float before = width > 1 ? own[width - 2] : end;
    if (a.next) {
      for (ptrdiff_t x = 0; x + 2 < width; x++) out[x] = a.factor * (own[x] + own[x + 1]);
      if (width > 1) out[width - 2] = a.factor * (before + end);
      out[width - 1] = a.factor * (end + end);
    } else {
      out[0] = a.factor * (own[0] + own[0]);
      for (ptrdiff_t x = 1; x + 1 < width; x++) out[x] = a.factor * (own[x - 1] + own[x]);
      out[width - 1] = a.factor * (before + end);
    }
  }
  clear(out - kLanes, kLanes);
  clear(out + width, stride - kLanes - width);
}

}  // namespace cleric::cpu::CLERIC_ISA
