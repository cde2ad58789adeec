// Steps of the attentions.
#include "cpu/steps/step_builder.h"

namespace cleric::cpu {

namespace {

/// The largest weight of a softmax before it is normalised, so the least that the sum of its weights can be.
constexpr int kUnitPower = 1 << 14;

}  // namespace

std::unique_ptr<Step> StepBuilder::integer_window_attention() {
  arity(1, 1, 3, 1, 0);
  WindowAttentionArgs args;
  args.qkv = integer_input(0);
  args.output = integer_output();
  args.heads = integer(0, 1, 256);
  const IntegerView& out = args.output;
  require(args.qkv.channels == 3 * out.channels && out.channels % args.heads == 0 &&
              out.channels / args.heads <= kMaxHeadChannels && out.height == 5 * args.qkv.height &&
              out.width == 5 * args.qkv.width,
          "the shapes of a window attention");
  const auto heads = static_cast<std::size_t>(args.heads);
  const Values<int32_t> bias = integers(0, 81 * heads);
  const auto packed = cache_.get<Array<int32_t>>("window:" + bias.key, [&] {
    auto made = allocate<int32_t>(heads * kWindow * kQueryLanes);
    for (std::size_t head = 0; head < heads; head++) {
      for (std::size_t q = 0; q < kWindow; q++) {
        for (std::size_t k = 0; k < kWindow; k++) {
          const std::size_t relative = (q / 5 + 4 - k / 5) * 9 + (q % 5 + 4 - k % 5);
          const int32_t value = bias.data[relative * heads + head];
          require(value >= INT16_MIN && value <= INT16_MAX, "a position bias");
          made[(head * kWindow + k) * kQueryLanes + q] = value;
        }
      }
    }
    return made;
  });
  args.bias = packed->get();
  args.shift = shift(1);
  const auto exp = table(2, 0, kUnitPower);
  require((*exp)[0] == kUnitPower, "a table of exponentials");
  args.exp = exp->get();
  args.rows = {args.qkv.height, 1};
  return kernel_step(kernels_.window_attention, args, args.rows.items(), args.scratch(), {packed, exp});
}

std::unique_ptr<Step> StepBuilder::integer_linear_attention() {
  arity(3, 1, 2, 2, 0);
  LinearAttentionArgs args;
  args.query = integer_input(0);
  args.key = integer_input(1);
  args.value = integer_input(2);
  args.output = integer_output();
  args.heads = integer(0, 1, 4096);
  args.split = integer(1, 0, 1) == 1;
  const IntegerView& out = args.output;
  require(out.channels % args.heads == 0 && out.channels / args.heads <= kMaxHeadChannels,
          "the heads of a linear attention");
  require(int64_t{out.height} * out.width <= kMaxPositions, "the positions of a linear attention");
  for (const IntegerView* view : {&args.query, &args.key, &args.value}) {
    require(same_shape(*view, out), "the shapes of a linear attention");
  }
  args.shift = shift(0);
  const auto exp = table(1, 0, kUnitPower);
  require((*exp)[0] == kUnitPower, "a table of exponentials");
  args.exp = exp->get();
  return kernel_step(kernels_.linear_attention, args, args.heads, args.scratch(), {exp});
}

}  // namespace cleric::cpu
