// Vectors of the instruction set that this translation unit is compiled for.
//
// The kernel sources are compiled several times (CMakeLists.txt), each time with
// other machine flags and another CLERIC_ISA, which names a namespace of its own.
// They use the compiler's portable vector type, so the same source becomes SSE2,
// AVX2, AVX-512 or NEON. They include no header of the standard library that has
// inline functions: the linker keeps one copy of those, and if that were the
// AVX-512 one, other code would fall over it on a smaller machine. A test
// (instruction-sets.test.ts) looks for such functions in the object files.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cpu/kernels/tensor.h"

#ifndef CLERIC_ISA
#error "compile with -DCLERIC_ISA=baseline, avx2, avx512 or avx512vnni"
#endif
#if !defined(__GNUC__)
#error "the CPU kernels need the vector types of GCC or Clang (on Windows: clang-cl)"
#endif

namespace cleric::cpu::CLERIC_ISA {

/// How many floats a register holds.
#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

typedef float Floats __attribute__((vector_size(kWidth * 4)));
typedef int32_t Ints __attribute__((vector_size(kWidth * 4)));
typedef float UnalignedFloats __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));

static CLERIC_INLINE Floats load(const float* from) {
  return *reinterpret_cast<const UnalignedFloats*>(from);
}
static CLERIC_INLINE void store(float* to, Floats v) {
  *reinterpret_cast<UnalignedFloats*>(to) = v;
}
static CLERIC_INLINE Floats splat(float v) {
  // Spelt out: `Floats{} + v` would be an addition, since -0 + 0 is not -0.
#if defined(__AVX512F__)
  return Floats{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
#elif defined(__AVX2__)
  return Floats{v, v, v, v, v, v, v, v};
#else
  return Floats{v, v, v, v};
#endif
}

/// One rounding where the machine has FMA: the build sets -ffp-contract=fast for that.
static CLERIC_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return a * b + c;
}

static CLERIC_INLINE Floats smaller(Floats a, Floats b) {
  return a < b ? a : b;
}
static CLERIC_INLINE Floats larger(Floats a, Floats b) {
  return a > b ? a : b;
}

static CLERIC_INLINE Floats square_root(Floats v) {
  Floats result;
  for (int i = 0; i < kWidth; i++) result[i] = __builtin_sqrtf(v[i]);
  return result;
}

/// Nearest integer, ties to even.
static CLERIC_INLINE Floats nearest(Floats v) {
  // Adding 1.5 * 2^23 leaves no bits for a fraction; above 2^22 there may be none already.
  const Floats magic = splat(12582912.0f);
  const Floats rounded = (v + magic) - magic;
  return (v < splat(4194304.0f)) & (v > splat(-4194304.0f)) ? rounded : v;
}

/// e^v within 2 units in the last place; v is clamped to +-80, so that neither the result nor a fair share of it
/// (a softmax weight) is a subnormal number, with which some processors take a hundred times as long.
static CLERIC_INLINE Floats exponential(Floats v) {
  v = smaller(larger(v, splat(-80.0f)), splat(80.0f));
  const Floats n = nearest(v * splat(1.44269504f));
  // ln 2 in two parts, so that r keeps its last bits.
  Floats r = multiply_add(n, splat(-0.693145752f), v);
  r = multiply_add(n, splat(-1.42860677e-6f), r);
  Floats p = splat(1.0f / 720);
  p = multiply_add(p, r, splat(1.0f / 120));
  p = multiply_add(p, r, splat(1.0f / 24));
  p = multiply_add(p, r, splat(1.0f / 6));
  p = multiply_add(p, r, splat(0.5f));
  p = multiply_add(p, r, splat(1.0f));
  p = multiply_add(p, r, splat(1.0f));
  const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
  return p * reinterpret_cast<Floats>(power);
}

/// tanh: a rational minimax fit (odd of degree 9 over even of degree 8) on +-8.5; absolute error 3e-7.
static CLERIC_INLINE Floats hyperbolic_tangent(Floats v) {
  v = smaller(larger(v, splat(-8.5f)), splat(8.5f));
  const Floats s = v * v;
  Floats p = splat(1.4222810484909587e-8f);
  p = multiply_add(p, s, splat(2.1215986635070294e-5f));
  p = multiply_add(p, s, splat(3.531820373609662e-3f));
  p = multiply_add(p, s, splat(0.134113609790802f));
  p = multiply_add(p, s, splat(1.0f));
  Floats q = splat(8.125680324155837e-7f);
  q = multiply_add(q, s, splat(3.345311270095408e-4f));
  q = multiply_add(q, s, splat(2.601427212357521e-2f));
  q = multiply_add(q, s, splat(0.46744683384895325f));
  q = multiply_add(q, s, splat(1.0f));
  return v * p / q;
}

/// GELU in its exact form, x/2 (1 + erf(x / sqrt 2)). erf: a rational minimax fit on +-3.85,
/// beyond which float32 knows no difference from +-1; absolute error of erf 3e-7.
static CLERIC_INLINE Floats gelu(Floats x) {
  const Floats t = x * splat(0.70710678f);
  const Floats c = smaller(larger(t, splat(-3.85f)), splat(3.85f));
  const Floats s = c * c;
  Floats p = splat(2.105434077748214e-6f);
  p = multiply_add(p, s, splat(2.8583372477442026e-4f));
  p = multiply_add(p, s, splat(3.684205235913396e-3f));
  p = multiply_add(p, s, splat(5.251133814454079e-2f));
  p = multiply_add(p, s, splat(0.1881464123725891f));
  p = multiply_add(p, s, splat(1.1283791065216064f));
  Floats q = splat(3.871073931804858e-5f);
  q = multiply_add(q, s, splat(1.1478548403829336e-3f));
  q = multiply_add(q, s, splat(1.480558980256319e-2f));
  q = multiply_add(q, s, splat(0.11323060095310211f));
  q = multiply_add(q, s, splat(0.500073254108429f));
  q = multiply_add(q, s, splat(1.0f));
  const Floats erf = c * p / q;
  const Floats saturated = t > splat(0.0f) ? splat(1.0f) : splat(-1.0f);
  const Floats half = x * splat(0.5f);
  return multiply_add(half, s < splat(14.8f) ? erf : saturated, half);
}

}  // namespace cleric::cpu::CLERIC_ISA
