// Steps that look at one position of every channel alone.
#include "cpu/steps/step_builder.h"

namespace cleric::cpu {

namespace {

/// Scales that the coder has a table for.
constexpr std::size_t kScales = 64;
/// Thresholds between scales, at most.
constexpr std::size_t kMaxThresholds = 4096;

void require_interleaved(const View& view, const View& out) {
  require(!view.planar() && same_size(view, out), "layouts of a pointwise node");
}

/// The first channels of `view` are scales, the others means, of as many channels as `out` has.
void require_entropy_parameters(const View& view, const View& out) {
  require_interleaved(view, out);
  require(view.channels == 2 * out.channels, "entropy parameters");
}

}  // namespace

PointwiseArgs StepBuilder::pointwise_args(Pointwise op) const {
  PointwiseArgs args;
  args.op = op;
  args.input = input(0);
  args.output = output();
  return args;
}

/// Input and output are laid out alike.
PointwiseArgs StepBuilder::elementwise_args(Pointwise op) const {
  const PointwiseArgs args = pointwise_args(op);
  require(same_shape(args.input, args.output) && args.input.planar() == args.output.planar(),
          "shapes of a pointwise node");
  return args;
}

/// Input and output are interleaved, and may differ in their channels.
PointwiseArgs StepBuilder::interleaved_args(Pointwise op) const {
  const PointwiseArgs args = pointwise_args(op);
  require_interleaved(args.input, args.output);
  require(!args.output.planar(), "layouts of a pointwise node");
  return args;
}

std::unique_ptr<Step> StepBuilder::pointwise_step(PointwiseArgs args, std::shared_ptr<const Packed> table) const {
  const View& out = args.output;
  if (table) args.table = table->weights.get();
  args.rows = rows_of(out.planar() ? out.height * out.channels : out.height, out.width * out.pixel);
  return kernel_step(kernels_.pointwise, args, args.rows.items(), 0, {table});
}

/// The values as floats. Integers below 2^24 stay exact; larger ones, which are rounded, are compared with tensors'
/// values, and these are all smaller.
template <typename Element>
std::shared_ptr<const Packed> StepBuilder::pack_table(const char* kind, const Values<Element>& values) {
  return cache_.get<Packed>(kind + values.key, [&] {
    Packed made;
    made.weights = allocate(values.length);
    for (std::size_t k = 0; k < values.length; k++) made.weights[k] = static_cast<float>(values.data[k]);
    return made;
  });
}

std::unique_ptr<Step> StepBuilder::scale() {
  arity(1, 1, 0, 0, 1);
  PointwiseArgs args = elementwise_args(Pointwise::scale);
  args.factor = real(0);
  return pointwise_step(args);
}

std::unique_ptr<Step> StepBuilder::round() {
  arity(1, 1, 0, 0, 0);
  return pointwise_step(elementwise_args(Pointwise::round));
}

std::unique_ptr<Step> StepBuilder::add() {
  arity(2, 1, 0, 0, 0);
  PointwiseArgs args = elementwise_args(Pointwise::add);
  args.second = input(1);
  require(same_shape(args.second, args.output) && args.second.planar() == args.output.planar(),
          "shapes of an addition");
  return pointwise_step(args);
}

std::unique_ptr<Step> StepBuilder::gain() {
  arity(2, 1, 0, 0, 0);
  PointwiseArgs args = interleaved_args(Pointwise::gain);
  args.second = input(1);
  require(args.input.channels == args.output.channels, "channels of a pointwise node");
  require(args.second.channels == args.output.channels && !args.second.planar(), "factors of a gain");
  return pointwise_step(args);
}

std::unique_ptr<Step> StepBuilder::scale_index() {
  arity(1, 1, 1, 1, 0);
  PointwiseArgs args = interleaved_args(Pointwise::scale_index);
  require_entropy_parameters(args.input, args.output);
  args.keep = static_cast<Half>(integer(0, 1, 2));
  const std::size_t length = parameters_[static_cast<std::size_t>(node_->parameters[0])].length;
  require(length >= 1 && length <= kMaxThresholds, "a table of scales");
  args.table_size = static_cast<int>(length);
  return pointwise_step(args, pack_table("scales:", integers(0, length)));
}

std::unique_ptr<Step> StepBuilder::quantise() {
  arity(3, 1, 1, 2, 0);
  PointwiseArgs args = interleaved_args(Pointwise::quantise);
  args.keep = static_cast<Half>(integer(0, 1, 2));
  args.first = integer(1, 0, args.input.channels - 1);
  require(args.input.channels - args.first >= args.output.channels, "channels of a pointwise node");
  args.second = input(1);
  require_entropy_parameters(args.second, args.output);
  args.third = input(2);
  require_interleaved(args.third, args.output);
  require(same_shape(args.third, args.output), "indexes of a quantisation");
  args.table_size = static_cast<int>(kScales);
  return pointwise_step(args, pack_table("zones:", reals(0, kScales)));
}

std::unique_ptr<Step> StepBuilder::dequantise() {
  const bool with_base = node_->inputs.size() == 3;
  arity(with_base ? 3 : 2, 1, 0, 1, 0);
  PointwiseArgs args = interleaved_args(Pointwise::dequantise);
  require(args.input.channels == args.output.channels, "channels of a pointwise node");
  args.keep = static_cast<Half>(integer(0, 1, 2));
  args.second = input(1);
  require_entropy_parameters(args.second, args.output);
  if (with_base) {
    args.third = input(2);
    require_interleaved(args.third, args.output);
    require(same_shape(args.third, args.output), "base of a dequantisation");
  }
  return pointwise_step(args);
}

}  // namespace cleric::cpu
