// How fast a processor multiplies and adds where nothing else is in the way.
#pragma once

#include "kernels.h"
#include "pool.h"

namespace cleric::cpu {

/// Multiply-adds of a kernel of this name, one instruction set each, in registers alone.
struct PeakKernel {
  /// The value only keeps the compiler from leaving them out.
  float (*run)(int rounds, float seed);
  /// Operations a round, two a multiply-add.
  int operations;
};
PeakKernel peak_kernel(const KernelTable& table);

/// Operations a second on all threads of the pool, measured over some 20 milliseconds.
double measure_peak(Pool& pool, const KernelTable& table);

}  // namespace cleric::cpu
