#include "steps.h"

#include <algorithm>

namespace cleric::cpu {

Rows rows_of(int height, std::ptrdiff_t row_floats, std::ptrdiff_t floats) {
  const std::ptrdiff_t rows = std::max<std::ptrdiff_t>(1, floats / std::max<std::ptrdiff_t>(1, row_floats));
  return {height, static_cast<int>(std::min<std::ptrdiff_t>(rows, height))};
}

std::unique_ptr<Step> StepBuilder::build(const NodeSpec& node, const std::vector<View>& views) {
  node_ = &node;
  views_ = &views;
  switch (node.op) {
    case Op::conv:
      return conv();
    case Op::depthwise:
      return depthwise();
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
    case Op::layer_norm:
      return layer_norm();
    case Op::window_attention:
      return window_attention();
    case Op::linear_attention:
      return linear_attention();
    case Op::mask:
      return pointwise(Pointwise::mask);
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

const View& StepBuilder::input(std::size_t i) const {
  return (*views_)[static_cast<std::size_t>(node_->inputs[i])];
}

const View& StepBuilder::output(std::size_t i) const {
  return (*views_)[static_cast<std::size_t>(node_->outputs[i])];
}

const ParameterSpec& StepBuilder::parameter(std::size_t i, std::size_t length) const {
  const ParameterSpec& found = plan_.parameters[static_cast<std::size_t>(node_->parameters[i])];
  require(found.length == length, "a parameter has another length");
  return found;
}

int StepBuilder::integer(std::size_t i, int min, int max) const {
  const int value = node_->integers[i];
  require(value >= min && value <= max, "a node's integer is out of range");
  return value;
}

std::unique_ptr<Step> StepBuilder::depthwise() {
  arity(1, 1, 2, 1, 0);
  const View& in = input(0);
  require(!in.planar() && !output().planar() && same_shape(in, output()), "shapes of a depthwise convolution");
  const auto channels = static_cast<std::size_t>(in.channels);
  const auto lanes = static_cast<std::size_t>(in.pixel);
  const ParameterSpec& weight = parameter(0, channels * 9);
  const ParameterSpec& bias = parameter(1, channels);
  const auto packed = cache_.get("depthwise:" + weight.key + ":" + bias.key, [&] {
    Packed made;
    made.weights = allocate(9 * lanes);
    made.bias = allocate(lanes);
    for (std::size_t c = 0; c < channels; c++) {
      for (std::size_t t = 0; t < 9; t++) made.weights[t * lanes + c] = weight.data[c * 9 + t];
      made.bias[c] = bias.data[c];
    }
    return made;
  });
  DepthwiseArgs args;
  args.input = in;
  args.output = output();
  args.finish = static_cast<Finish>(integer(0, 0, 2));
  args.weights = packed->weights.get();
  args.bias = packed->bias.get();
  args.rows = rows_of(in.height, in.width * in.pixel, 8192);
  return kernel_step(kernels_.depthwise, args, args.rows.items(), 0, packed);
}

std::unique_ptr<Step> StepBuilder::layer_norm() {
  arity(1, 1, 2, 0, 0);
  const View& in = input(0);
  require(!in.planar() && !output().planar() && same_shape(in, output()), "shapes of a layer norm");
  const auto channels = static_cast<std::size_t>(in.channels);
  const ParameterSpec& weight = parameter(0, channels);
  const ParameterSpec& bias = parameter(1, channels);
  const auto packed = cache_.get("norm:" + weight.key + ":" + bias.key, [&] {
    Packed made;
    made.weights = allocate(static_cast<std::size_t>(in.pixel));
    made.bias = allocate(static_cast<std::size_t>(in.pixel));
    std::copy_n(weight.data, channels, made.weights.get());
    std::copy_n(bias.data, channels, made.bias.get());
    return made;
  });
  LayerNormArgs args{in, output(), packed->weights.get(), packed->bias.get(), rows_of(in.height, in.width * in.pixel)};
  return kernel_step(kernels_.layer_norm, args, args.rows.items(), 0, packed);
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
    case Pointwise::mask:
      arity(1, 1, 0, 1, 0);
      half();
      break;
    case Pointwise::gain:
      arity(2, 1, 0, 0, 0);
      args.second = input(1);
      require(args.second.channels == out.channels && !args.second.planar(), "factors of a gain");
      break;
    case Pointwise::scale_index: {
      arity(1, 1, 1, 1, 0);
      half();
      const ParameterSpec& table = plan_.parameters[static_cast<std::size_t>(node_->parameters[0])];
      require(table.length >= 1 && table.length <= 4096, "a table of scales");
      packed = cache_.get("table:" + table.key, [&] {
        Packed made;
        made.weights = allocate(table.length);
        std::copy_n(table.data, table.length, made.weights.get());
        return made;
      });
      args.table = packed->weights.get();
      args.table_size = static_cast<int>(table.length);
      break;
    }
    case Pointwise::quantise:
      arity(2, 1, 0, 2, 0);
      half();
      args.first = integer(1, 0, args.input.channels - 1);
      args.second = input(1);
      break;
    case Pointwise::dequantise:
      require(node_->inputs.size() == 3 || node_->inputs.size() == 2, "inputs of a dequantisation");
      arity(node_->inputs.size(), 1, 0, 1, 0);
      half();
      args.second = input(1);
      if (node_->inputs.size() == 3) {
        args.base = input(2);
        interleaved({args.base});
        require(same_shape(args.base, out), "base of a dequantisation");
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
  return kernel_step(kernels_.pointwise, args, args.rows.items(), 0, packed);
}

}  // namespace cleric::cpu
