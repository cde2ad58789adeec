// Which of the compiled instruction sets this machine has.
#include "kernels.h"
#include "peak.h"

namespace cleric::cpu {

namespace baseline {
extern const KernelTable table;
extern const int peak_operations;
float peak(int, float);
}  // namespace baseline

#if defined(CLERIC_CPU_X86)
namespace avx2 {
extern const KernelTable table;
extern const int peak_operations;
float peak(int, float);
}  // namespace avx2
namespace avx512 {
extern const KernelTable table;
extern const int peak_operations;
float peak(int, float);
}  // namespace avx512
// The kernels that gain from it; the others are those of avx512.
namespace avx512vnni {
void integer_conv(const IntegerConvArgs&, int, float*);
void window_attention(const WindowAttentionArgs&, int, float*);
}  // namespace avx512vnni

namespace {

KernelTable with_vnni() {
  KernelTable made = avx512::table;
  made.name = "avx512vnni";
  made.integer_conv = avx512vnni::integer_conv;
  made.window_attention = avx512vnni::window_attention;
  return made;
}

}  // namespace
#endif

KernelTables available_kernels() {
  KernelTables found{};
#if defined(CLERIC_CPU_X86)
  // The built-ins also ask whether the operating system saves the registers.
  const bool avx2_there = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2_there && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    static const KernelTable vnni = with_vnni();
    if (__builtin_cpu_supports("avx512vnni")) found.tables[found.count++] = &vnni;
    found.tables[found.count++] = &avx512::table;
  }
  if (avx2_there) found.tables[found.count++] = &avx2::table;
#endif
  found.tables[found.count++] = &baseline::table;
  return found;
}

PeakKernel peak_kernel(const KernelTable& table) {
#if defined(CLERIC_CPU_X86)
  // That of avx512vnni is avx512's.
  if (table.width == avx512::table.width) return {avx512::peak, avx512::peak_operations};
  if (table.width == avx2::table.width) return {avx2::peak, avx2::peak_operations};
#endif
  static_cast<void>(table);
  return {baseline::peak, baseline::peak_operations};
}

}  // namespace cleric::cpu
