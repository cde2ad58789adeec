// Parameters laid out for the kernels, once for all graphs of a backend.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cpu/kernels/kernels.h"
#include "cpu/steps/memory.h"

namespace cleric::cpu {

/// A matrix cut into panels, or any other parameters in one block.
struct Packed {
  Floats weights;
  Floats bias;
  std::vector<Panel> panels;
  /// Bytes of a panel of full width.
  std::size_t panel_bytes = 0;
  std::size_t bytes = 0;
};

/// The same for an integer layer. There are no panels where the weights are no matrix.
struct PackedIntegers {
  Array<int16_t> weights;
  Array<int32_t> bias;
  Array<int32_t> shift;
  std::vector<IntegerPanel> panels;
  std::size_t panel_bytes = 0;
  std::size_t bytes = 0;
};

class WeightCache {
 public:
  /// What `make` made the first time that `key` was asked for. A key always stands for the same type.
  template <typename Made>
  std::shared_ptr<const Made> get(const std::string& key, const std::function<Made()>& make) {
    auto& entry = entries_[key];
    if (!entry) entry = std::make_shared<const Made>(make());
    return std::static_pointer_cast<const Made>(entry);
  }

 private:
  std::unordered_map<std::string, std::shared_ptr<const void>> entries_;
};

/// Panels of `lanes` output lanes (a multiple of kLanes), as (first lane, registers).
std::vector<std::pair<int, int>> cut_panels(const KernelTable& kernels, int lanes);

/// Where in a filter [channel][tap] each step of a convolution's depth lies: depth runs over inputs, taps and
/// channels, as the kernels meet them. Channels of an input are rounded up to `unit`; the steps past them are kNoStep.
constexpr std::size_t kNoStep = SIZE_MAX;
std::vector<std::size_t> filter_order(const std::vector<int>& splits, std::size_t taps, int unit);

/// The key of a convolution's packed weights: `start`, and what their packing depends on.
std::string conv_key(std::string start, const std::vector<int>& splits, int kernel, int shuffle, int channels);

/// A filter [3][3] at the kTilePoints points of Winograd's F(4 x 4, 3 x 3), row by row.
void filter_at_points(const float* filter, float* out);

/// A matrix of `lanes` output lanes (a multiple of kLanes) x `depth`, in panels of the kernels' width.
///
/// @param weight (lane, depth) to value
/// @param bias lane to value
template <typename Weight, typename Bias>
Packed pack_matrix(const KernelTable& kernels, int lanes, std::size_t depth, Weight&& weight, Bias&& bias) {
  Packed packed;
  packed.weights = allocate(static_cast<std::size_t>(lanes) * depth);
  packed.bias = allocate(static_cast<std::size_t>(lanes));
  packed.bytes = static_cast<std::size_t>(lanes) * depth * sizeof(float);
  packed.panel_bytes = static_cast<std::size_t>(kernels.panel_registers * kernels.width) * depth * sizeof(float);
  float* out = packed.weights.get();
  for (const auto& [lane, registers] : cut_panels(kernels, lanes)) {
    packed.panels.push_back({out, lane, registers});
    const int count = registers * kernels.width;
    for (std::size_t k = 0; k < depth; k++) {
      for (int i = 0; i < count; i++) *out++ = weight(lane + i, k);
    }
  }
  for (int lane = 0; lane < lanes; lane++) packed.bias[static_cast<std::size_t>(lane)] = bias(lane);
  return packed;
}

}  // namespace cleric::cpu
