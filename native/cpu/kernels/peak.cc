// Multiply-adds in independent chains, all in registers.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd.h"

namespace cleric::cpu::CLERIC_ISA {

void peak(const PeakArgs& args, int item, float* scratch) {
  constexpr int kChains = PeakArgs::kChains;
  Floats chains[kChains];
  for (int c = 0; c < kChains; c++) chains[c] = splat(static_cast<float>(item + c));
  // The values tend to 1, so they become neither subnormal nor infinite.
  const Floats factor = splat(0.999f);
  const Floats addend = splat(0.001f);
  for (int round = 0; round < args.rounds; round++) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; c++) chains[c] = multiply_add(chains[c], factor, addend);
  }
  Floats sum = chains[0];
  for (int c = 1; c < kChains; c++) sum += chains[c];
  // Written only so that the compiler doesn't leave the multiply-adds out.
  *scratch = sum[0] + sum[kWidth - 1];
}

}  // namespace cleric::cpu::CLERIC_ISA
