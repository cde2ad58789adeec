// From a node of the plan to a step that is ready to run: every shape that a
// kernel relies on is checked here, and its parameters are packed.
#pragma once

#include <memory>
#include <vector>

#include "kernels.h"
#include "plan.h"
#include "pool.h"
#include "weights.h"

namespace cleric::cpu {

inline void require(bool holds, const char* what) {
  if (!holds) throw BadPlan(std::string("The plan is unsound: ") + what);
}

/// A kernel with its arguments, and whatever these point into.
template <typename Args>
class KernelStep final : public Step {
 public:
  using Kernel = void (*)(const Args&, int, float*);

  KernelStep(Kernel kernel, Args args, int items, std::ptrdiff_t scratch, std::shared_ptr<const Packed> packed,
             std::vector<Run> runs = {})
      : Step(items, static_cast<std::size_t>(scratch)),
        kernel_(kernel),
        args_(args),
        packed_(std::move(packed)),
        runs_(std::move(runs)) {}

  void run(int item, float* scratch) const override { kernel_(args_, item, scratch); }

 private:
  Kernel kernel_;
  Args args_;
  std::shared_ptr<const Packed> packed_;
  /// Moved with its elements staying where they are: args_ points at them.
  std::vector<Run> runs_;
};

template <typename Args>
std::unique_ptr<Step> kernel_step(void (*kernel)(const Args&, int, float*), Args args, int items,
                                  std::ptrdiff_t scratch = 0, std::shared_ptr<const Packed> packed = nullptr,
                                  std::vector<Run> runs = {}) {
  return std::make_unique<KernelStep<Args>>(kernel, args, items, scratch, std::move(packed), std::move(runs));
}

class StepBuilder {
 public:
  StepBuilder(const KernelTable& kernels, WeightCache& cache, const PlanSpec& plan)
      : kernels_(kernels), cache_(cache), plan_(plan) {}

  /// @param views of all tensors; those of the node's have memory
  std::unique_ptr<Step> build(const NodeSpec& node, const std::vector<View>& views);

 private:
  std::unique_ptr<Step> conv();
  std::unique_ptr<Step> deform();
  std::unique_ptr<Step> gdn();
  std::unique_ptr<Step> depthwise();
  std::unique_ptr<Step> layer_norm();
  std::unique_ptr<Step> lift_step();
  std::unique_ptr<Step> window_attention();
  std::unique_ptr<Step> linear_attention();
  std::unique_ptr<Step> pointwise(Pointwise op);
  std::unique_ptr<Step> lift_split();
  std::unique_ptr<Step> lift_merge();
  std::unique_ptr<Step> pool();
  std::unique_ptr<Step> slice();
  std::unique_ptr<Step> concat();
  std::unique_ptr<Step> convert();

  void arity(std::size_t inputs, std::size_t outputs, std::size_t parameters, std::size_t integers, std::size_t reals);
  const View& input(std::size_t i) const;
  const View& output(std::size_t i = 0) const;
  const ParameterSpec& parameter(std::size_t i, std::size_t length) const;
  int integer(std::size_t i, int min, int max) const;
  float real(std::size_t i) const { return node_->reals[i]; }

  /// Sets what follows from the output: rows, width and where sums go.
  void place(MatrixArgs& matrix, const View& out, int shuffle) const;
  void use(MatrixArgs& matrix, const Packed& packed) const;
  std::shared_ptr<const Packed> pack_conv(const std::vector<int>& splits, int kernel, const View& out, int shuffle);

  const KernelTable& kernels_;
  WeightCache& cache_;
  const PlanSpec& plan_;
  const NodeSpec* node_ = nullptr;
  const std::vector<View>* views_ = nullptr;
};

/// Rows in blocks of about `floats` floats.
Rows rows_of(int height, std::ptrdiff_t row_floats, std::ptrdiff_t floats = 16384);

inline bool same_size(const View& a, const View& b) {
  return a.height == b.height && a.width == b.width;
}
inline bool same_shape(const View& a, const View& b) {
  return a.channels == b.channels && same_size(a, b);
}

/// A port's values, as the host lays them out, to or from a tensor.
std::unique_ptr<Step> input_port(Format format, const void* staging, const View& view);
std::unique_ptr<Step> output_port(Format format, void* staging, const View& view);
std::size_t port_bytes(Format format, const View& view);

}  // namespace cleric::cpu
