#include "steps.h"

#include <algorithm>

namespace cleric::cpu {

namespace {

constexpr std::size_t kCachedWeights = 400 << 10;
/// Scales that the coder has a table for.
constexpr std::size_t kScales = 64;

}  // namespace

int fitting_panels(std::size_t panel_bytes, std::size_t panels) {
  const std::size_t fitting = std::max<std::size_t>(1, kCachedWeights / std::max<std::size_t>(1, panel_bytes));
  return static_cast<int>(std::min(fitting, panels));
}

Rows rows_of(int height, std::ptrdiff_t row_floats, std::ptrdiff_t floats) {
  const std::ptrdiff_t rows = std::max<std::ptrdiff_t>(1, floats / std::max<std::ptrdiff_t>(1, row_floats));
  return {height, static_cast<int>(std::min<std::ptrdiff_t>(rows, height))};
}

std::unique_ptr<Step> StepBuilder::build(const NodeSpec& node, const Tensors& tensors) {
  node_ = &node;
  tensors_ = &tensors;
  switch (node.op) {
    case Op::conv:
      return conv();
    case Op::deform:
      return deform();
    case Op::gdn:
      return gdn();
    case Op::lift_split:
      return lift_split();
    case Op::lift_merge:
      return lift_merge();
    case Op::lift_step:
      return lift_step();
    case Op::scale:
      return pointwise(Pointwise::scale);
    case Op::gain:
      return pointwise(Pointwise::gain);
    case Op::pool:
      return pool();
    case Op::mask:
      return mask();
    case Op::add:
      return pointwise(Pointwise::add);
    case Op::round:
      return pointwise(Pointwise::round);
    case Op::scale_index:
      return pointwise(Pointwise::scale_index);
    case Op::quantise:
      return pointwise(Pointwise::quantise);
    case Op::dequantise:
      return pointwise(Pointwise::dequantise);
    case Op::slice:
      return slice();
    case Op::concat:
      return concat();
    case Op::integer_conv:
      return integer_conv();
    case Op::integer_depthwise:
      return integer_depthwise();
    case Op::requantise:
      return requantise();
    case Op::integer_layer_norm:
      return integer_layer_norm();
    case Op::integer_window_attention:
      return window_attention();
    case Op::integer_linear_attention:
      return linear_attention();
    case Op::convert:
      return convert();
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
  const ParameterSpec& found = plan_.parameters[static_cast<std::size_t>(node_->parameters[i])];
  require(found.reals != nullptr && found.length == length, "a parameter has another length or type");
  return {found.key, found.reals, length};
}

Values<int32_t> StepBuilder::integers(std::size_t i, std::size_t length) const {
  const ParameterSpec& found = plan_.parameters[static_cast<std::size_t>(node_->parameters[i])];
  require(found.integers != nullptr && found.length == length, "a parameter has another length or type");
  return {found.key, found.integers, length};
}

int StepBuilder::integer(std::size_t i, int min, int max) const {
  const int value = node_->integers[i];
  require(value >= min && value <= max, "a node's integer is out of range");
  return value;
}

std::unique_ptr<Step> StepBuilder::pointwise(Pointwise op) {
  require(!node_->inputs.empty() && !node_->outputs.empty(), "a pointwise node lacks tensors");
  PointwiseArgs args;
  args.op = op;
  const View& out = output();
  args.output = out;
  args.input = input(0);
  std::shared_ptr<const Packed> packed;
  const auto half = [&] { args.keep = static_cast<Half>(integer(0, 1, 2)); };
  const auto interleaved = [&](std::initializer_list<View> views) {
    for (const View& view : views) require(!view.planar() && same_size(view, out), "layouts of a pointwise node");
  };
  const auto look_up_in = [&](const char* kind, const auto& table, std::size_t length) {
    packed = cache_.get<Packed>(kind + table.key, [&] {
      Packed made;
      made.weights = allocate(length);
      for (std::size_t k = 0; k < length; k++) made.weights[k] = static_cast<float>(table.data[k]);
      return made;
    });
    args.table = packed->weights.get();
    args.table_size = static_cast<int>(length);
  };
  switch (op) {
    case Pointwise::scale:
      arity(1, 1, 0, 0, 1);
      args.factor = real(0);
      break;
    case Pointwise::round:
      arity(1, 1, 0, 0, 0);
      break;
    case Pointwise::add:
      arity(2, 1, 0, 0, 0);
      args.second = input(1);
      require(same_shape(args.second, out) && args.second.planar() == out.planar(), "shapes of an addition");
      break;
    case Pointwise::gain:
      arity(2, 1, 0, 0, 0);
      args.second = input(1);
      require(args.second.channels == out.channels && !args.second.planar(), "factors of a gain");
      break;
    case Pointwise::scale_index: {
      arity(1, 1, 1, 1, 0);
      half();
      const std::size_t length = plan_.parameters[static_cast<std::size_t>(node_->parameters[0])].length;
      require(length >= 1 && length <= 4096, "a table of scales");
      // Scales are below 2^24, where floats are exact; rounding leaves larger thresholds above them.
      look_up_in("scales:", integers(0, length), length);
      break;
    }
    case Pointwise::quantise:
      arity(3, 1, 1, 2, 0);
      half();
      args.first = integer(1, 0, args.input.channels - 1);
      args.second = input(1);
      args.third = input(2);
      interleaved({args.third});
      require(same_shape(args.third, out), "indexes of a quantisation");
      look_up_in("zones:", reals(0, kScales), kScales);
      break;
    case Pointwise::dequantise:
      require(node_->inputs.size() == 3 || node_->inputs.size() == 2, "inputs of a dequantisation");
      arity(node_->inputs.size(), 1, 0, 1, 0);
      half();
      args.second = input(1);
      if (node_->inputs.size() == 3) {
        args.third = input(2);
        interleaved({args.third});
        require(same_shape(args.third, out), "base of a dequantisation");
      }
      break;
  }
  const bool elementwise = op == Pointwise::scale || op == Pointwise::add || op == Pointwise::round;
  if (elementwise) {
    require(same_shape(args.input, out) && args.input.planar() == out.planar(), "shapes of a pointwise node");
  } else {
    interleaved({args.input, out});
    if (op == Pointwise::quantise || op == Pointwise::dequantise) {
      interleaved({args.second});
      require(args.second.channels == 2 * out.channels, "entropy parameters");
    }
    const int from_input = op == Pointwise::quantise      ? args.first + out.channels
                           : op == Pointwise::scale_index ? 2 * out.channels
                                                          : out.channels;
    require(op == Pointwise::quantise ? args.input.channels >= from_input : args.input.channels == from_input,
            "channels of a pointwise node");
  }
  args.rows = rows_of(out.planar() ? out.height * out.channels : out.height, out.width * out.pixel);
  return kernel_step(kernels_.pointwise, args, args.rows.items(), 0, {packed});
}

}  // namespace cleric::cpu
