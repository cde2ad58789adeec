// This instruction set's kernels, as a table.
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/integers.h"

namespace cleric::cpu::CLERIC_ISA {

#define CLERIC_STRING_OF(name) #name
#define CLERIC_STRING(name) CLERIC_STRING_OF(name)
#define CLERIC_DECLARE(kernel, Args) void kernel(const Args&, int item, float* scratch);
#define CLERIC_ENTRY(kernel, Args) kernel,

CLERIC_KERNELS(CLERIC_DECLARE)

extern const KernelTable table;
const KernelTable table = {CLERIC_STRING(CLERIC_ISA), kWidth, kPanelRegisters, kInterleavedPairs,
                           CLERIC_KERNELS(CLERIC_ENTRY)};

}  // namespace cleric::cpu::CLERIC_ISA
