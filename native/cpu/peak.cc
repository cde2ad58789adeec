// Multiply-adds that wait for nothing: independent chains, all in registers.
#include "simd.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

// A multiply-add takes four or five cycles and two begin in each, so ten chains keep the units at work; with two
// operands they fit into 16 registers.
constexpr int kChains = 12;

}  // namespace

extern const int peak_operations;
const int peak_operations = 2 * kChains * kWidth;

float peak(int rounds, float seed) {
  Floats chains[kChains];
  for (int c = 0; c < kChains; c++) chains[c] = splat(seed + static_cast<float>(c));
  // Towards 1: neither subnormal nor infinite.
  const Floats factor = splat(0.999f);
  const Floats addend = splat(0.001f);
  for (int round = 0; round < rounds; round++) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; c++) chains[c] = multiply_add(chains[c], factor, addend);
  }
  Floats sum = chains[0];
  for (int c = 1; c < kChains; c++) sum += chains[c];
  return sum[0] + sum[kWidth - 1];
}

}  // namespace cleric::cpu::CLERIC_ISA
