// Vectors of integers, for the layers whose results must be the same everywhere.
//
// Sums are unsigned: they wrap where a plan that no model makes would overflow,
// which for signed numbers is undefined. Below 2^31 both are the same.
#pragma once

#include "cpu/kernels/simd.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace cleric::cpu::CLERIC_ISA {

typedef uint32_t Words __attribute__((vector_size(kWidth * 4)));
typedef int16_t Shorts __attribute__((vector_size(kWidth * 2)));
typedef int32_t UnalignedInts __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
typedef uint32_t UnalignedWords __attribute__((vector_size(kWidth * 4), aligned(2), may_alias));
typedef int16_t UnalignedShorts __attribute__((vector_size(kWidth * 2), aligned(2), may_alias));
/// Two int16 side by side.
typedef uint32_t UnalignedPair __attribute__((aligned(2), may_alias));

static CLERIC_INLINE Ints load(const int32_t* from) {
  return *reinterpret_cast<const UnalignedInts*>(from);
}
static CLERIC_INLINE void store(int32_t* to, Ints v) {
  *reinterpret_cast<UnalignedInts*>(to) = v;
}
/// kWidth int16, widened.
static CLERIC_INLINE Ints load(const int16_t* from) {
  return __builtin_convertvector(Shorts(*reinterpret_cast<const UnalignedShorts*>(from)), Ints);
}
/// The low halves of the lanes.
static CLERIC_INLINE void store(int16_t* to, Ints v) {
  *reinterpret_cast<UnalignedShorts*>(to) = __builtin_convertvector(v, Shorts);
}
/// kWidth pairs of int16, one in each lane.
static CLERIC_INLINE Words load_pairs(const int16_t* from) {
  return *reinterpret_cast<const UnalignedWords*>(from);
}
static CLERIC_INLINE uint32_t pair_at(const int16_t* from) {
  return *reinterpret_cast<const UnalignedPair*>(from);
}

static CLERIC_INLINE Words splat(uint32_t v) {
#if defined(__AVX512F__)
  return Words{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
#elif defined(__AVX2__)
  return Words{v, v, v, v, v, v, v, v};
#else
  return Words{v, v, v, v};
#endif
}
static CLERIC_INLINE Ints splat(int32_t v) {
  return reinterpret_cast<Ints>(splat(static_cast<uint32_t>(v)));
}
static CLERIC_INLINE Words words(Ints v) {
  return reinterpret_cast<Words>(v);
}
static CLERIC_INLINE Ints ints(Words v) {
  return reinterpret_cast<Ints>(v);
}

static CLERIC_INLINE Ints clamp(Ints v, int32_t low, int32_t high) {
  v = v < splat(low) ? splat(low) : v;
  return v > splat(high) ? splat(high) : v;
}
static CLERIC_INLINE Ints clamp12(Ints v) {
  return clamp(v, -2048, 2047);
}

/// What is added before a shift, so that it rounds half up.
static CLERIC_INLINE uint32_t half_of(int shift) {
  return shift == 0 ? 0 : uint32_t{1} << (shift - 1);
}
/// v / 2^shift, half rounded up.
static CLERIC_INLINE Ints rounded_shift(Words v, int shift) {
  return ints(v + splat(half_of(shift))) >> shift;
}

/// Integers that a float tensor holds; any other value becomes the nearest integer that it may hold.
static CLERIC_INLINE Ints integers(Floats v) {
  v = smaller(larger(v, splat(-16777216.0f)), splat(16777216.0f));
  return __builtin_convertvector(v, Ints);
}

/// n / d, truncated, where inverse is 1 / d, d is in [2^14, 2^27] and n / d at most 2^17.
static CLERIC_INLINE Words quotient(Words n, Words d, Floats inverse) {
  // Every machine converts signed integers, hence the halving. The error is far below 1, so one correction is enough.
  const Floats half = __builtin_convertvector(ints(n >> 1), Floats);
  const Words guess = words(__builtin_convertvector(half * (inverse + inverse), Ints));
  const Ints rest = ints(n - guess * d);
  // Comparisons are -1 where they hold.
  return guess + words(rest < splat(0)) - words(rest >= ints(d));
}
static CLERIC_INLINE Floats inverse_of(Words d) {
  return splat(1.0f) / __builtin_convertvector(ints(d), Floats);
}

/// Sums of products have the type that the instruction gives, since GCC copies a sum that changes its type in a loop.
#if defined(__AVX512VNNI__)
typedef Ints Sums;
#else
typedef Words Sums;
#endif
static CLERIC_INLINE Words words_of(Sums v) {
  return reinterpret_cast<Words>(v);
}

/// sum + a.low * b.low + a.high * b.high in each lane, of pairs of int16.
static CLERIC_INLINE Sums add_products(Sums sum, Words a, Words b) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<Ints>(
      _mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX512BW__)
  return sum + reinterpret_cast<Words>(_mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return sum + reinterpret_cast<Words>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return sum + reinterpret_cast<Words>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const Words low = words((ints(a << 16) >> 16) * (ints(b << 16) >> 16));
  return sum + low + words((ints(a) >> 16) * (ints(b) >> 16));
#endif
}

/// The same for a register of packed weights and one pair of activations in all lanes. NEON multiplies halves of a
/// register, so there the weights of kWidth lanes for the first of a pair precede those for the second.
#if defined(__aarch64__)
constexpr bool kInterleavedPairs = false;
static CLERIC_INLINE Sums add_weighted(Sums sum, Words weights, Words pair) {
  const int16x8_t w = reinterpret_cast<int16x8_t>(weights);
  const int16x8_t x = reinterpret_cast<int16x8_t>(pair);
  int32x4_t s = reinterpret_cast<int32x4_t>(sum);
  s = vmlal_laneq_s16(s, vget_low_s16(w), x, 0);
  s = vmlal_high_laneq_s16(s, w, x, 1);
  return reinterpret_cast<Sums>(s);
}
#else
constexpr bool kInterleavedPairs = true;
static CLERIC_INLINE Sums add_weighted(Sums sum, Words weights, Words pair) {
  return add_products(sum, weights, pair);
}
#endif

/// kWidth integers of channel c on, of either kind of tensor.
static CLERIC_INLINE Ints load(const MixedView& view, ptrdiff_t y, ptrdiff_t x, ptrdiff_t c) {
  return view.narrow.data ? load(view.narrow.at(y, x) + c) : integers(load(view.wide.at(y, x) + c));
}

}  // namespace cleric::cpu::CLERIC_ISA
