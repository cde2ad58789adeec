// The step of the lifting.
#include <algorithm>

#include "cpu/steps/step_builder.h"

namespace cleric::cpu {

std::unique_ptr<Step> StepBuilder::lift_step() {
  arity(2, 1, 6, 5, 4);
  LiftArgs args;
  args.source = input(0);
  args.target = input(1);
  args.output = output();
  args.along_rows = integer(0, 0, 1) == 1;
  args.next = integer(1, 0, 1) == 1;
  args.sign = integer(2, 0, 1) == 1 ? 1.0f : -1.0f;
  const int hidden = integer(3, 1, 256);
  const bool for_pixels = integer(4, 0, 1) == 1;
  args.factor = real(0);
  args.source_end = real(1);
  args.first_end = real(2);
  args.last_end = real(3);
  for (const View* view : {&args.source, &args.target}) {
    require(view->planar() && same_shape(*view, args.output), "the shapes of a lifting step");
  }
  require(args.output.planar(), "the layout of a lifting step");

  const auto count = static_cast<std::size_t>(hidden);
  const Values<float> weight1 = reals(0, count * 9);
  const Values<float> bias1 = reals(1, count);
  const Values<float> weight2 = reals(2, count * count * 9);
  const Values<float> bias2 = reals(3, count);
  const Values<float> weight3 = reals(4, count);
  const Values<float> bias3 = reals(5, 1);
  args.hidden = (hidden + LiftArgs::kHiddenGroup - 1) / LiftArgs::kHiddenGroup * LiftArgs::kHiddenGroup;
  const auto lanes = static_cast<std::size_t>(args.hidden);
  constexpr std::size_t group = LiftArgs::kHiddenGroup;
  // conv1, its bias, conv2, its bias, conv3, its bias, conv2 at the points of tiles; padding channels are zero throughout.
  const std::size_t at_bias1 = 9 * lanes;
  const std::size_t at_weight2 = at_bias1 + lanes;
  const std::size_t at_bias2 = at_weight2 + lanes * 9 * lanes;
  const std::size_t at_weight3 = at_bias2 + lanes;
  const std::size_t at_bias3 = at_weight3 + lanes;
  const std::size_t at_tile_weight2 = at_bias3 + 1;
  const auto packed = cache_.get<Packed>("lift:" + weight2.key + (args.along_rows ? ":rows" : ":columns"), [&] {
    Packed made;
    made.weights = allocate(at_tile_weight2 + kTilePoints * lanes * lanes);
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
    for (std::size_t o = 0; o < count; o++) {
      for (std::size_t i = 0; i < count; i++) {
        float filter[9];
        for (std::size_t t = 0; t < 9; t++) filter[t] = to[at_weight2 + (i * 9 + t) * lanes + o];
        float points[kTilePoints];
        filter_at_points(filter, points);
        for (std::size_t p = 0; p < kTilePoints; p++) {
          to[at_tile_weight2 + ((o / group * kTilePoints + p) * lanes + i) * group + o % group] = points[p];
        }
      }
    }
    return made;
  });
  const float* const base = packed->weights.get();
  args.weight1 = base;
  args.bias1 = base + at_bias1;
  args.weight2 = base + at_weight2;
  args.bias2 = base + at_bias2;
  args.weight3 = base + at_weight3;
  args.bias3 = base[at_bias3];
  args.tile_weight2 = base + at_tile_weight2;
  args.rows = {args.output.height, std::min(16, args.output.height)};
  const bool is_tiled = args.output.height % kTileOutputs == 0 && args.output.width % kTileOutputs == 0;
  if (for_pixels && is_tiled) {
    const int items = args.output.channels * args.rows.items();
    return kernel_step(kernels_.lift_tiles, args, items, args.tiles_scratch(), {packed});
  }
  return kernel_step(kernels_.lift, args, args.output.channels * args.rows.items(), args.scratch(), {packed});
}

}  // namespace cleric::cpu
