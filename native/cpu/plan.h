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
  deform = 1,
  gdn = 2,
  lift_split = 3,
  lift_merge = 4,
  lift_step = 5,
  scale = 6,
  gain = 7,
  pool = 8,
  mask = 9,
  add = 10,
  round = 11,
  scale_index = 12,
  quantise = 13,
  dequantise = 14,
  slice = 15,
  concat = 16,
  integer_conv = 17,
  integer_depthwise = 18,
  requantise = 19,
  integer_layer_norm = 20,
  integer_window_attention = 21,
  integer_linear_attention = 22,
  /// To another layout.
  convert = 23,
};
constexpr int kOpCount = 24;

enum class Format : int { real = 0, rgb8 = 1, int16 = 2 };

/// See tensor.h.
enum class Layout : int { interleaved = 0, planar = 1, integers = 2 };

struct TensorSpec {
  int channels;
  int height;
  int width;
  Layout layout;
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
  /// One of the two; the other is null.
  const float* reals;
  const int32_t* integers;
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
/// @param tensors four integers each: channels, height, width, layout
/// @param program see flatten.ts
/// @throws BadPlan
PlanSpec read_plan(const int32_t* tensors, std::size_t tensor_length, const int32_t* program,
                   std::size_t program_length, const float* reals, std::size_t real_length,
                   std::vector<ParameterSpec> parameters);

}  // namespace cleric::cpu
