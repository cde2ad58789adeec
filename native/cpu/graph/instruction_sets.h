// The instruction sets that the kernels are compiled for, and which of them this machine has.
#pragma once

#include <vector>

#include "cpu/kernels/kernels.h"

namespace cleric::cpu {

/// The tables of kernels that this machine can run, best first; never empty.
std::vector<const KernelTable*> available_kernels();

}  // namespace cleric::cpu
