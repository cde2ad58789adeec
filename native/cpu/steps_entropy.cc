// Steps of the lifting and of the attentions.
#include <algorithm>

#include "steps.h"

namespace cleric::cpu {

std::unique_ptr<Step> StepBuilder::lift_step() {
  arity(2, 1, 6, 4, 1);
  LiftArgs args;
  args.source = input(0);
  args.target = input(1);
  args.output = output();
  args.along_rows = integer(0, 0, 1) == 1;
  args.next = integer(1, 0, 1) == 1;
  args.sign = integer(2, 0, 1) == 1 ? 1.0f : -1.0f;
  const int hidden = integer(3, 1, 256);
  args.factor = real(0);
  for (const View* view : {&args.source, &args.target}) {
    require(view->planar() && same_shape(*view, args.output), "the shapes of a lifting step");
  }
  require(args.output.planar(), "the layout of a lifting step");

  const auto count = static_cast<std::size_t>(hidden);
  const ParameterSpec& weight1 = parameter(0, count * 9);
  const ParameterSpec& bias1 = parameter(1, count);
  const ParameterSpec& weight2 = parameter(2, count * count * 9);
  const ParameterSpec& bias2 = parameter(3, count);
  const ParameterSpec& weight3 = parameter(4, count);
  const ParameterSpec& bias3 = parameter(5, 1);
  args.hidden = (hidden + 7) / 8 * 8;
  const auto lanes = static_cast<std::size_t>(args.hidden);
  // conv1, its bias, conv2, its bias, conv3, its bias; padding channels are zero throughout.
  const std::size_t at_bias1 = 9 * lanes;
  const std::size_t at_weight2 = at_bias1 + lanes;
  const std::size_t at_bias2 = at_weight2 + lanes * 9 * lanes;
  const std::size_t at_weight3 = at_bias2 + lanes;
  const std::size_t at_bias3 = at_weight3 + lanes;
  const auto packed = cache_.get("lift:" + weight2.key + (args.along_rows ? ":rows" : ":columns"), [&] {
    Packed made;
    made.weights = allocate(at_bias3 + 1);
    float* const to = made.weights.get();
    for (std::size_t t = 0; t < 9; t++) {
      // The net sees columns as if they were rows: its filters turn over, the image stays.
      const std::size_t from = args.along_rows ? t : t % 3 * 3 + t / 3;
      for (std::size_t o = 0; o < count; o++) {
        to[t * lanes + o] = weight1.data[o * 9 + from];
        for (std::size_t i = 0; i < count; i++) {
          to[at_weight2 + (i * 9 + t) * lanes + o] = weight2.data[(o * count + i) * 9 + from];
        }
      }
    }
    std::copy_n(bias1.data, count, to + at_bias1);
    std::copy_n(bias2.data, count, to + at_bias2);
    std::copy_n(weight3.data, count, to + at_weight3);
    to[at_bias3] = bias3.data[0];
    return made;
  });
  const float* const base = packed->weights.get();
  args.weight1 = base;
  args.bias1 = base + at_bias1;
  args.weight2 = base + at_weight2;
  args.bias2 = base + at_bias2;
  args.weight3 = base + at_weight3;
  args.bias3 = base[at_bias3];
  args.rows = {args.output.height, std::min(16, args.output.height)};
  return kernel_step(kernels_.lift, args, args.output.channels * args.rows.items(), args.scratch(), packed);
}

std::unique_ptr<Step> StepBuilder::window_attention() {
  arity(1, 1, 1, 1, 0);
  WindowAttentionArgs args;
  args.qkv = input(0);
  args.output = output();
  args.heads = integer(0, 1, 256);
  const View& out = args.output;
  require(!args.qkv.planar() && !out.planar() && args.qkv.channels == 3 * out.channels &&
              out.channels % args.heads == 0 && out.height == 5 * args.qkv.height && out.width == 5 * args.qkv.width,
          "the shapes of a window attention");
  const auto heads = static_cast<std::size_t>(args.heads);
  const ParameterSpec& bias = parameter(0, 81 * heads);
  const auto packed = cache_.get("window:" + bias.key, [&] {
    Packed made;
    made.weights = allocate(heads * kWindow * kQueryLanes);
    for (std::size_t head = 0; head < heads; head++) {
      for (std::size_t q = 0; q < kWindow; q++) {
        for (std::size_t k = 0; k < kWindow; k++) {
          const std::size_t relative = (q / 5 + 4 - k / 5) * 9 + (q % 5 + 4 - k % 5);
          made.weights[(head * kWindow + k) * kQueryLanes + q] = bias.data[relative * heads + head];
        }
      }
    }
    return made;
  });
  args.bias = packed->weights.get();
  args.rows = {args.qkv.height, 1};
  return kernel_step(kernels_.window_attention, args, args.rows.items(), args.scratch(), packed);
}

std::unique_ptr<Step> StepBuilder::linear_attention() {
  arity(3, 1, 0, 2, 0);
  LinearAttentionArgs args;
  args.query = input(0);
  args.key = input(1);
  args.value = input(2);
  args.output = output();
  args.heads = integer(0, 1, 4096);
  args.split = integer(1, 0, 1) == 1;
  require(!args.output.planar() && args.output.channels % args.heads == 0, "the heads of a linear attention");
  for (const View* view : {&args.query, &args.key, &args.value}) {
    require(!view->planar() && same_shape(*view, args.output), "the shapes of a linear attention");
  }
  return kernel_step(kernels_.linear_attention, args, args.heads, args.scratch());
}

}  // namespace cleric::cpu
