// Winograd's minimal filtering (Lavin and Gray 2015, arXiv 1509.09308) along one axis, F(4, 3): six inputs give four
// outputs of a filter of three taps by as many products as there are points. Both axes in turn make F(4 x 4, 3 x 3).
#pragma once

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd.h"

namespace cleric::cpu::CLERIC_ISA {

/// Six values to the points 0, 1, -1, 2, -2 and infinity.
static CLERIC_INLINE void to_points(const Floats v[kTileInputs], Floats out[kTileInputs]) {
  const Floats four = splat(4.0f);
  const Floats even4 = multiply_add(-four, v[2], v[4]);
  const Floats odd4 = multiply_add(-four, v[1], v[3]);
  const Floats even1 = v[4] - v[2];
  const Floats odd2 = splat(2.0f) * (v[3] - v[1]);
  out[0] = multiply_add(four, v[0], multiply_add(splat(-5.0f), v[2], v[4]));
  out[1] = even4 + odd4;
  out[2] = even4 - odd4;
  out[3] = even1 + odd2;
  out[4] = even1 - odd2;
  out[5] = multiply_add(four, v[1], multiply_add(splat(-5.0f), v[3], v[5]));
}

/// The sums at six points to four outputs.
static CLERIC_INLINE void from_points(const Floats m[kTileInputs], Floats out[kTileOutputs]) {
  const Floats sum1 = m[1] + m[2];
  const Floats difference1 = m[1] - m[2];
  const Floats sum2 = m[3] + m[4];
  const Floats difference2 = m[3] - m[4];
  out[0] = (m[0] + sum1) + sum2;
  out[1] = multiply_add(splat(2.0f), difference2, difference1);
  out[2] = multiply_add(splat(4.0f), sum2, sum1);
  out[3] = multiply_add(splat(8.0f), difference2, difference1) + m[5];
}

/// A tile's points, row by row `plane` floats apart, from its inputs. @param at (row, column) to where that input lies
template <typename At>
static CLERIC_INLINE void tile_to_points(const At& at, float* out, ptrdiff_t plane) {
  Floats columns[kTileInputs][kTileInputs];
#pragma GCC unroll 6
  for (int i = 0; i < kTileInputs; i++) {
    Floats v[kTileInputs];
#pragma GCC unroll 6
    for (int j = 0; j < kTileInputs; j++) v[j] = load(at(j, i));
    to_points(v, columns[i]);
  }
#pragma GCC unroll 6
  for (int j = 0; j < kTileInputs; j++) {
    Floats v[kTileInputs];
    Floats points[kTileInputs];
#pragma GCC unroll 6
    for (int i = 0; i < kTileInputs; i++) v[i] = columns[i][j];
    to_points(v, points);
#pragma GCC unroll 6
    for (int i = 0; i < kTileInputs; i++) store(out + (j * kTileInputs + i) * plane, points[i]);
  }
}

/// A tile's outputs from the sums at its points. @param put takes row, column and value
template <typename Put>
static CLERIC_INLINE void tile_from_points(const float* sums, ptrdiff_t plane, const Put& put) {
  Floats columns[kTileInputs][kTileOutputs];
#pragma GCC unroll 6
  for (int i = 0; i < kTileInputs; i++) {
    Floats m[kTileInputs];
#pragma GCC unroll 6
    for (int j = 0; j < kTileInputs; j++) m[j] = load(sums + (j * kTileInputs + i) * plane);
    from_points(m, columns[i]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < kTileOutputs; j++) {
    Floats m[kTileInputs];
    Floats v[kTileOutputs];
#pragma GCC unroll 6
    for (int i = 0; i < kTileInputs; i++) m[i] = columns[i][j];
    from_points(m, v);
#pragma GCC unroll 4
    for (int i = 0; i < kTileOutputs; i++) put(j, i, v[i]);
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
