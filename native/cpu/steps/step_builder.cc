#include "cpu/steps/step_builder.h"

#include <algorithm>

namespace cleric::cpu {

namespace {

constexpr std::size_t kCachedWeights = 400 << 10;

}  // namespace

int fitting_panels(std::size_t panel_bytes, std::size_t panels) {
  const std::size_t fitting = std::max<std::size_t>(1, kCachedWeights / std::max<std::size_t>(1, panel_bytes));
  return static_cast<int>(std::min(fitting, panels));
}

Rows rows_of(int height, std::ptrdiff_t row_floats, std::ptrdiff_t floats) {
  const std::ptrdiff_t rows = std::max<std::ptrdiff_t>(1, floats / std::max<std::ptrdiff_t>(1, row_floats));
  return {height, static_cast<int>(std::min<std::ptrdiff_t>(rows, height))};
}

int border_of(const NodeSpec& node) {
  if (node.op == Op::integer_depthwise) return 1;
  // A convolution reads as far as it pads. Its step checks the number, which may be anything yet.
  const bool conv = node.op == Op::conv || node.op == Op::integer_conv;
  if (conv && node.integers.size() > 2) return std::clamp(node.integers[2], 0, 2);
  return 0;
}

std::unique_ptr<Step> StepBuilder::build(const NodeSpec& node, const Tensors& tensors) {
  node_ = &node;
  tensors_ = &tensors;
  switch (node.op) {
#define CLERIC_CASE(operation, name) \
  case Op::operation:                \
    return operation();
    CLERIC_OPERATIONS(CLERIC_CASE)
#undef CLERIC_CASE
  }
  throw BadPlan("The plan has an unknown operation");
}

void StepBuilder::arity(std::size_t inputs, std::size_t outputs, std::size_t parameters, std::size_t integers,
                        std::size_t reals) {
  require(node_->inputs.size() == inputs, "a node has another number of inputs");
  require(node_->outputs.size() == outputs, "a node has another number of outputs");
  require(node_->parameters.size() == parameters, "a node has another number of parameters");
  require(node_->integers.size() == integers, "a node has another number of integers");
  require(node_->reals.size() == reals, "a node has another number of reals");
}

namespace {

template <typename Element>
const BasicView<Element>& of_kind(const std::vector<BasicView<Element>>& views, int tensor) {
  const BasicView<Element>& view = views[static_cast<std::size_t>(tensor)];
  require(view.data != nullptr, "a tensor has another kind of elements");
  return view;
}

}  // namespace

const View& StepBuilder::input(std::size_t i) const {
  return of_kind(tensors_->reals, node_->inputs[i]);
}

const View& StepBuilder::output(std::size_t i) const {
  return of_kind(tensors_->reals, node_->outputs[i]);
}

const IntegerView& StepBuilder::integer_input(std::size_t i) const {
  return of_kind(tensors_->integers, node_->inputs[i]);
}

const IntegerView& StepBuilder::integer_output() const {
  return of_kind(tensors_->integers, node_->outputs[0]);
}

MixedView StepBuilder::mixed(int tensor) const {
  const auto at = static_cast<std::size_t>(tensor);
  const MixedView view{tensors_->reals[at], tensors_->integers[at]};
  require(!view.wide.data || !view.wide.planar(), "the layout of a tensor of integers");
  return view;
}

Values<float> StepBuilder::reals(std::size_t i, std::size_t length) const {
  const ParameterSpec& found = parameters_[static_cast<std::size_t>(node_->parameters[i])];
  require(found.reals != nullptr && found.length == length, "a parameter has another length or type");
  return {found.key, found.reals, length};
}

Values<int32_t> StepBuilder::integers(std::size_t i, std::size_t length) const {
  const ParameterSpec& found = parameters_[static_cast<std::size_t>(node_->parameters[i])];
  require(found.integers != nullptr && found.length == length, "a parameter has another length or type");
  return {found.key, found.integers, length};
}

int StepBuilder::integer(std::size_t i, int min, int max) const {
  const int value = node_->integers[i];
  require(value >= min && value <= max, "a node's integer is out of range");
  return value;
}

}  // namespace cleric::cpu
