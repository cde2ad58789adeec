// A graph as JavaScript gives it to the CPU backend: any numbers.

#include "cpu/graph/plan.h"

#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  fuzz::Input input(bytes, length);
  const auto tensors = input.list<int32_t>(4 * (input.next<uint8_t>() % 8));
  const auto reals = input.list<float>(input.next<uint8_t>() % 8);
  std::vector<cleric::cpu::ParameterSpec> parameters(input.next<uint8_t>() % 4);
  // Small numbers are a byte each, so that there are many of them that make sense.
  std::vector<int32_t> program;
  while (input.left() > 0) {
    const auto small = input.next<uint8_t>();
    program.push_back(small == 255 ? input.next<int32_t>() : small - 1);
  }
  try {
    const auto plan = cleric::cpu::read_plan(tensors.data(), tensors.size(), program.data(), program.size(),
                                             reals.data(), reals.size(), std::move(parameters));
    for (const auto& stage : plan.stages) {
      for (const auto& port : stage.inputs) {
        fuzz::expect(port.tensor >= 0 && static_cast<size_t>(port.tensor) < plan.tensors.size(), "a port is a tensor");
      }
    }
  } catch (const cleric::cpu::BadPlan&) {
  }
  return 0;
}
