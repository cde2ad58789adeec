// A graph as it comes from TypeScript (src/cpu/flatten.ts): plain numbers, all of which are checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/steps/node.h"

namespace cleric::cpu {

struct PortSpec {
  int tensor;
  Format format;
};

struct StageSpec {
  std::vector<PortSpec> inputs;
  std::vector<NodeSpec> nodes;
  std::vector<PortSpec> outputs;
};

struct PlanSpec {
  std::vector<TensorSpec> tensors;
  std::vector<StageSpec> stages;
  std::vector<ParameterSpec> parameters;
};

/// Reads a plan. Afterwards every tensor and parameter that it names exists, every
/// tensor is written once and before it is read, and sizes multiply without overflow.
///
/// @param tensors four integers each: channels, height, width, layout
/// @param program see flatten.ts
/// @throws BadPlan
PlanSpec read_plan(const int32_t* tensors, std::size_t tensor_length, const int32_t* program,
                   std::size_t program_length, const float* reals, std::size_t real_length,
                   std::vector<ParameterSpec> parameters);

}  // namespace cleric::cpu
