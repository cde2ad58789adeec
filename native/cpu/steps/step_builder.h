// From a node of the plan to a step that is ready to run: every shape that a
// kernel relies on is checked here, and its parameters are packed.
#pragma once

#include <memory>
#include <vector>

#include "cpu/kernels/kernels.h"
#include "cpu/steps/node.h"
#include "cpu/steps/step.h"
#include "cpu/steps/weights.h"

namespace cleric::cpu {

/// All tensors; each has memory in one of the two lists.
struct Tensors {
  std::vector<View> reals;
  std::vector<IntegerView> integers;
};

/// A parameter as a node asks for it.
template <typename Element>
struct Values {
  const std::string& key;
  const Element* data;
  std::size_t length;
};

/// How a convolution goes over its input.
struct Geometry {
  int kernel;
  int stride;
  int padding;
};

/// How many pixels of zeros a node reads round its inputs.
int border_of(const NodeSpec& node);

class StepBuilder {
 public:
  /// @param tensors, parameters what the nodes name by their positions
  StepBuilder(const KernelTable& kernels, WeightCache& cache, const std::vector<TensorSpec>& tensors,
              const std::vector<ParameterSpec>& parameters)
      : kernels_(kernels), cache_(cache), specs_(tensors), parameters_(parameters) {}

  /// @param tensors the node's inputs and outputs have memory
  std::unique_ptr<Step> build(const NodeSpec& node, const Tensors& tensors);

 private:
#define CLERIC_BUILD(operation, name) std::unique_ptr<Step> operation();
  CLERIC_OPERATIONS(CLERIC_BUILD)
#undef CLERIC_BUILD

  void arity(std::size_t inputs, std::size_t outputs, std::size_t parameters, std::size_t integers, std::size_t reals);
  /// Each requires the tensor to have that kind of elements.
  const View& input(std::size_t i) const;
  const View& output(std::size_t i = 0) const;
  const IntegerView& integer_input(std::size_t i) const;
  const IntegerView& integer_output() const;
  bool is_integer(int tensor) const {
    return tensors_->integers[static_cast<std::size_t>(tensor)].data != nullptr;
  }
  /// A tensor of either kind, not planar.
  MixedView mixed(int tensor) const;
  MixedView mixed_input(std::size_t i) const {
    return mixed(node_->inputs[i]);
  }
  MixedView mixed_output() const {
    return mixed(node_->outputs[0]);
  }
  Values<float> reals(std::size_t i, std::size_t length) const;
  Values<int32_t> integers(std::size_t i, std::size_t length) const;
  /// The one number of a parameter, in [0, 30].
  int shift(std::size_t i) const;
  std::shared_ptr<const Array<int16_t>> table(std::size_t i, int min, int max);
  int integer(std::size_t i, int min, int max) const;
  float real(std::size_t i) const {
    return node_->reals[i];
  }

  /// Sets what follows from the output: rows, width and where sums go.
  void place(MatrixArgs& matrix, const View& out, int shuffle) const;
  void use(MatrixArgs& matrix, const Packed& packed) const;
  template <typename Element>
  bool fits(const BasicView<Element>& in, std::size_t i, const Geometry& geometry, int height, int width) const;
  std::shared_ptr<const Packed> pack_conv(const std::vector<int>& splits, int kernel, const View& out, int shuffle);
  std::shared_ptr<const Packed> pack_winograd(int inputs, const View& out);
  /// A conv3x3 of stride 1 of one input. @param placed what `place` and the node set of it
  std::unique_ptr<Step> winograd(const MatrixArgs& placed);
  std::shared_ptr<const PackedIntegers> pack_integers(const std::vector<int>& splits, int kernel, int channels,
                                                      int shuffle);

  PointwiseArgs pointwise_args(Pointwise op) const;
  PointwiseArgs elementwise_args(Pointwise op) const;
  PointwiseArgs interleaved_args(Pointwise op) const;
  std::unique_ptr<Step> pointwise_step(PointwiseArgs args, std::shared_ptr<const Packed> table = nullptr) const;
  template <typename Element>
  std::shared_ptr<const Packed> pack_table(const char* kind, const Values<Element>& values);

  const KernelTable& kernels_;
  WeightCache& cache_;
  const std::vector<TensorSpec>& specs_;
  const std::vector<ParameterSpec>& parameters_;
  const NodeSpec* node_ = nullptr;
  const Tensors* tensors_ = nullptr;
};

/// Whether input i, with its border, gives an output of that size.
template <typename Element>
bool StepBuilder::fits(const BasicView<Element>& in, std::size_t i, const Geometry& g, int height, int width) const {
  const int border = specs_[static_cast<std::size_t>(node_->inputs[i])].border;
  const auto side = [&](int from, int to) {
    return from + 2 * g.padding >= g.kernel && (from + 2 * g.padding - g.kernel) / g.stride + 1 == to;
  };
  return border >= g.padding && side(in.height, height) && side(in.width, width);
}

/// The stretches of memory that a convolution's filters lie on: for each row of taps, and each tap where the padding
/// between pixels parts them. Lengths are rounded up to `unit` channels.
template <typename Element>
void append_runs(std::vector<BasicRun<Element>>& runs, const BasicView<Element>& in, const Geometry& g, int unit) {
  const bool whole = in.pixel == in.channels;
  for (int ky = 0; ky < g.kernel; ky++) {
    for (int kx = 0; kx < (whole ? 1 : g.kernel); kx++) {
      runs.push_back({in.at(ky - g.padding, kx - g.padding), in.row * g.stride, in.pixel * g.stride,
                      whole ? in.pixel * g.kernel : (in.channels + unit - 1) / unit * unit});
    }
  }
}

/// How many panels have weights that all fit into a thread's second-level cache.
int fitting_panels(std::size_t panel_bytes, std::size_t panels);

/// Divides rows into blocks of about `floats` floats.
Rows rows_of(int height, std::ptrdiff_t row_floats, std::ptrdiff_t floats = 16384);

template <typename A, typename B>
bool same_size(const BasicView<A>& a, const BasicView<B>& b) {
  return a.height == b.height && a.width == b.width;
}
template <typename A, typename B>
bool same_shape(const BasicView<A>& a, const BasicView<B>& b) {
  return a.channels == b.channels && same_size(a, b);
}
template <typename A>
bool same_shape(const MixedView& a, const BasicView<A>& b) {
  return a.narrow.data ? same_shape(a.narrow, b) : same_shape(a.wide, b);
}

/// Steps that move a port's values, as the host lays them out, to or from a tensor.
std::unique_ptr<Step> input_port(Format format, const void* staging, const View& view);
std::unique_ptr<Step> output_port(Format format, void* staging, const View& view);
std::size_t port_bytes(Format format, const View& view);

}  // namespace cleric::cpu
