#include "cpu/graph/instruction_sets.h"

namespace cleric::cpu {

namespace baseline {
extern const KernelTable table;
}

#if defined(CLERIC_CPU_X86)
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx512vnni {
extern const KernelTable table;
}
#endif

std::vector<const KernelTable*> available_kernels() {
  std::vector<const KernelTable*> found;
#if defined(CLERIC_CPU_X86)
  // A set needs what CMakeLists.txt compiles it for. The built-ins also ask whether the operating system saves the
  // registers.
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (has_avx512 && __builtin_cpu_supports("avx512vnni")) found.push_back(&avx512vnni::table);
  if (has_avx512) found.push_back(&avx512::table);
  if (has_avx2) found.push_back(&avx2::table);
#endif
  found.push_back(&baseline::table);
  return found;
}

}  // namespace cleric::cpu
