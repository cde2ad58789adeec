// What a step is made from: a node of the plan with its tensors and parameters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/kernels/kernels.h"

namespace cleric::cpu {

/// The plan contradicts itself; a mistake of the caller, not of the model.
class BadPlan : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void require(bool holds, const char* what) {
  if (!holds) throw BadPlan(std::string("The plan is unsound: ") + what);
}

/// The operations of a plan: what C++ and TypeScript call each. Its number is its place in this list. StepBuilder has
/// a function of the C++ name for each; TypeScript compares the names with its own (src/cpu/flatten.ts) when it loads
/// the addon.
#define CLERIC_OPERATIONS(OPERATION)                            \
  OPERATION(conv, "conv")                                       \
  OPERATION(deform, "deform")                                   \
  OPERATION(gdn, "gdn")                                         \
  OPERATION(lift_split, "liftSplit")                            \
  OPERATION(lift_merge, "liftMerge")                            \
  OPERATION(lift_step, "liftStep")                              \
  OPERATION(scale, "scale")                                     \
  OPERATION(gain, "gain")                                       \
  OPERATION(pool, "pool")                                       \
  OPERATION(mask, "mask")                                       \
  OPERATION(add, "add")                                         \
  OPERATION(round, "round")                                     \
  OPERATION(scale_index, "scaleIndex")                          \
  OPERATION(quantise, "quantise")                               \
  OPERATION(dequantise, "dequantise")                           \
  OPERATION(slice, "slice")                                     \
  OPERATION(concat, "concat")                                   \
  OPERATION(integer_conv, "integerConv")                        \
  OPERATION(integer_depthwise, "integerDepthwise")              \
  OPERATION(requantise, "requantise")                           \
  OPERATION(integer_layer_norm, "integerLayerNorm")             \
  OPERATION(integer_window_attention, "integerWindowAttention") \
  OPERATION(integer_linear_attention, "integerLinearAttention") \
  /* Puts a tensor into another layout; only plans have it. */  \
  OPERATION(convert, "convert")

/// How a tensor lies in memory: see tensor.h.
#define CLERIC_LAYOUTS(LAYOUT)       \
  LAYOUT(interleaved, "interleaved") \
  LAYOUT(planar, "planar")           \
  LAYOUT(integers, "integers")

/// How the host lays out a port's values.
#define CLERIC_FORMATS(FORMAT) \
  FORMAT(real, "float")        \
  FORMAT(rgb8, "rgb8")         \
  FORMAT(int16, "int16")

#define CLERIC_NAME(value, name) name,
enum class Op : int { CLERIC_OPERATIONS(CLERIC_ENUMERATOR) };
enum class Layout : int { CLERIC_LAYOUTS(CLERIC_ENUMERATOR) };
enum class Format : int { CLERIC_FORMATS(CLERIC_ENUMERATOR) };

/// The names of all that a plan holds as a number, each at its number.
inline constexpr std::array kOperationNames{CLERIC_OPERATIONS(CLERIC_NAME)};
inline constexpr std::array kLayoutNames{CLERIC_LAYOUTS(CLERIC_NAME)};
inline constexpr std::array kFormatNames{CLERIC_FORMATS(CLERIC_NAME)};
inline constexpr std::array kActivationNames{CLERIC_ACTIVATIONS(CLERIC_NAME)};
inline constexpr std::array kHalfNames{CLERIC_HALVES(CLERIC_NAME)};
#undef CLERIC_NAME

struct TensorSpec {
  int channels;
  int height;
  int width;
  Layout layout;
  /// How many pixels of zeros stand round an interleaved tensor: as many as its readers' padding asks for.
  int border;
};

struct NodeSpec {
  Op op;
  /// Positions among the tensors.
  std::vector<int> inputs;
  std::vector<int> outputs;
  /// Positions among the parameters.
  std::vector<int> parameters;
  std::vector<int> integers;
  std::vector<float> reals;
};

struct ParameterSpec {
  /// Names the values for as long as the backend lives. It ends in how many there are, so that one key never stands for
  /// values of two lengths.
  std::string key;
  /// One of the two; the other is null.
  const float* reals;
  const int32_t* integers;
  std::size_t length;
};

}  // namespace cleric::cpu
