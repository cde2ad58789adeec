// A graph as it comes from TypeScript (src/cpu/flatten.ts): plain numbers, believed by nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace cleric::cpu {

/// The plan contradicts itself; a mistake of the caller, not of the model.
class BadPlan : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The numbers are part of the contract with flatten.ts.
enum class Op : int {
  conv = 0,
  depthwise = 1,
  deform = 2,
  gdn = 3,
  lift_split = 4,
  lift_merge = 5,
  lift_step = 6,
  scale = 7,
  gain = 8,
  pool = 9,
  layer_norm = 10,
  window_attention = 11,
  linear_attention = 12,
  mask = 13,
  add = 14,
  round = 15,
  scale_index = 16,
  quantise = 17,
  dequantise = 18,
  slice = 19,
  concat = 20,
  /// To the other layout.
  convert = 21,
};
constexpr int kOpCount = 22;

enum class Format : int { real = 0, rgb8 = 1, int16 = 2 };

struct TensorSpec {
  int channels;
  int height;
  int width;
  bool planar;
  /// Pixels of zeros round an interleaved tensor, as many as its readers' padding asks for.
  int border;
};

struct NodeSpec {
  Op op;
  std::vector<int> inputs;
  std::vector<int> outputs;
  /// Positions in PlanSpec::parameters.
  std::vector<int> parameters;
  std::vector<int> integers;
  std::vector<float> reals;
};

struct PortSpec {
  int tensor;
  Format format;
};

struct StageSpec {
  std::vector<PortSpec> inputs;
  std::vector<NodeSpec> nodes;
  std::vector<PortSpec> outputs;
};

struct ParameterSpec {
  /// Names the values for as long as the backend lives; ends in their number, so that a key fixes both.
  std::string key;
  const float* data;
  std::size_t length;
};

struct PlanSpec {
  std::vector<TensorSpec> tensors;
  std::vector<StageSpec> stages;
  std::vector<ParameterSpec> parameters;
};

/// Reads a plan. Afterwards every tensor and parameter that it names exists, every
/// tensor is written once and before it is read, and sizes multiply without overflow.
///
/// @param tensors four integers each: channels, height, width, 1 if planar
/// @param program see flatten.ts
/// @throws BadPlan
PlanSpec read_plan(const int32_t* tensors, std::size_t tensor_length, const int32_t* program,
                   std::size_t program_length, const float* reals, std::size_t real_length,
                   std::vector<ParameterSpec> parameters);

}  // namespace cleric::cpu
