// Parameters laid out for the kernels, once for all graphs of a backend.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace cleric::cpu {

/// A matrix cut into panels, or any other parameters in one block.
struct Packed {
  Floats weights;
  Floats bias;
  std::vector<Panel> panels;
  /// Of a panel of full width.
  std::size_t panel_bytes = 0;
  std::size_t bytes = 0;
};

class WeightCache {
 public:
  /// What `make` made the first time that `key` was asked for.
  std::shared_ptr<const Packed> get(const std::string& key, const std::function<Packed()>& make) {
    auto& entry = entries_[key];
    if (!entry) entry = std::make_shared<const Packed>(make());
    return entry;
  }

 private:
  std::unordered_map<std::string, std::shared_ptr<const Packed>> entries_;
};

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
  int left = lanes / kernels.width;
  for (int lane = 0; left > 0;) {
    // Of one register more than a panel has, two halves make better use than a panel and a single.
    const int most = kernels.panel_registers;
    const int registers = left >= most && left != most + 1 ? most : left > most ? (left + 1) / 2 : left;
    packed.panels.push_back({out, lane, registers});
    const int count = registers * kernels.width;
    for (std::size_t k = 0; k < depth; k++) {
      for (int i = 0; i < count; i++) *out++ = weight(lane + i, k);
    }
    lane += count;
    left -= registers;
  }
  for (int lane = 0; lane < lanes; lane++) packed.bias[static_cast<std::size_t>(lane)] = bias(lane);
  return packed;
}

}  // namespace cleric::cpu
