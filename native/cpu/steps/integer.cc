// Steps of the integer layers.
//
// Parameters are checked to be in the ranges that the model format gives them. That
// no sum overflows then is proven where the graph is built; here sums wrap.
#include <algorithm>
#include <numeric>

#include "cpu/steps/step_builder.h"

namespace cleric::cpu {

namespace {

constexpr int kMaxShift = 30;
/// As kItemWork of float convolutions (matrix.cc), whose multiply-adds take twice as long.
constexpr double kItemWork = 4e7;
/// How many items there should be to keep many threads equally busy.
constexpr int kItems = 32;
constexpr std::size_t kRootTable = 384;

int32_t checked(int32_t value, int32_t min, int32_t max) {
  require(value >= min && value <= max, "a parameter of an integer layer is out of range");
  return value;
}

/// Sets a lane's shift, and its bias plus what makes the shift round.
void pack_rounding(PackedIntegers& made, std::size_t lane, int32_t bias, int32_t shift) {
  made.shift[lane] = checked(shift, 0, kMaxShift);
  const uint32_t half = shift == 0 ? 0 : uint32_t{1} << (shift - 1);
  made.bias[lane] = static_cast<int32_t>(static_cast<uint32_t>(bias) + half);
}

/// Cuts a convolution into items.
void divide(IntegerConvArgs& args, const PackedIntegers& packed) {
  args.panels_per_item = fitting_panels(packed.panel_bytes, packed.panels.size());
  const double panel_work = static_cast<double>(packed.bytes) / sizeof(int16_t) / static_cast<double>(args.panel_count);
  const double row_work = panel_work * args.width * args.panels_per_item;
  const double rows = std::clamp(kItemWork / row_work, 1.0, std::max(1.0, 1.0 * args.rows.count / kItems));
  args.rows.per_item = static_cast<int>(rows);
  // A latent of few rows is divided by its channels too.
  while (args.panels_per_item > 1 && args.panel_blocks() * args.rows.items() < kItems) {
    args.panels_per_item = (args.panels_per_item + 1) / 2;
  }
}

}  // namespace

int StepBuilder::shift(std::size_t i) const {
  return checked(integers(i, 1).data[0], 0, kMaxShift);
}

std::shared_ptr<const Array<int16_t>> StepBuilder::table(std::size_t i, int min, int max) {
  const Values<int32_t> values = integers(i, kTableSize);
  const std::string range = std::to_string(min) + ":" + std::to_string(max) + ":";
  return cache_.get<Array<int16_t>>("table:" + range + values.key, [&] {
    auto made = allocate<int16_t>(kTableSize);
    for (std::size_t k = 0; k < kTableSize; k++) made[k] = static_cast<int16_t>(checked(values.data[k], min, max));
    return made;
  });
}

/// Packs lanes as pack_conv does, and the depth in pairs of channels.
std::shared_ptr<const PackedIntegers> StepBuilder::pack_integers(const std::vector<int>& splits, int kernel,
                                                                 int channels, int shuffle) {
  const std::size_t inner = std::accumulate(splits.begin(), splits.end(), std::size_t{0});
  const auto taps = static_cast<std::size_t>(kernel * kernel);
  const auto groups = static_cast<std::size_t>(shuffle * shuffle);
  const auto outputs = static_cast<std::size_t>(channels);
  const auto group_lanes = static_cast<std::size_t>(padded(channels));
  const Values<int32_t> weight = integers(0, outputs * groups * inner * taps);
  const Values<int32_t> bias = integers(1, outputs * groups);
  const Values<int32_t> shift = integers(2, outputs * groups);
  const std::string key =
      conv_key("integers:" + weight.key + ":" + bias.key + ":" + shift.key, splits, kernel, shuffle, channels);
  return cache_.get<PackedIntegers>(key, [&] {
    const std::vector<std::size_t> order = filter_order(splits, taps, 2);
    const std::size_t lanes = group_lanes * groups;
    PackedIntegers made;
    made.weights = allocate<int16_t>(lanes * order.size());
    made.bias = allocate<int32_t>(lanes);
    made.shift = allocate<int32_t>(lanes);
    made.bytes = lanes * order.size() * sizeof(int16_t);
    made.panel_bytes =
        static_cast<std::size_t>(kernels_.panel_registers * kernels_.width) * order.size() * sizeof(int16_t);
    // The filter of each lane; none for padding.
    std::vector<const int32_t*> filters(lanes);
    for (std::size_t c = 0; c < outputs; c++) {
      for (std::size_t g = 0; g < groups; g++) {
        const std::size_t lane = g * group_lanes + c;
        filters[lane] = weight.data + (c * groups + g) * inner * taps;
        pack_rounding(made, lane, bias.data[c * groups + g], shift.data[c * groups + g]);
      }
    }
    const auto width = static_cast<std::size_t>(kernels_.width);
    const auto weight_at = [&](std::size_t lane, std::size_t k) {
      const bool none = !filters[lane] || order[k] == kNoStep;
      return static_cast<int16_t>(none ? 0 : checked(filters[lane][order[k]], INT16_MIN, INT16_MAX));
    };
    int16_t* out = made.weights.get();
    for (const auto& [first, registers] : cut_panels(kernels_, static_cast<int>(lanes))) {
      made.panels.push_back({out, first, registers});
      for (std::size_t k = 0; k < order.size(); k += 2) {
        for (int r = 0; r < registers; r++) {
          const std::size_t lane = static_cast<std::size_t>(first) + static_cast<std::size_t>(r) * width;
          for (std::size_t i = 0; i < 2 * width; i++) {
            const bool by_pair = kernels_.interleaved_pairs;
            *out++ = by_pair ? weight_at(lane + i / 2, k + i % 2) : weight_at(lane + i % width, k + i / width);
          }
        }
      }
    }
    return made;
  });
}

std::unique_ptr<Step> StepBuilder::integer_conv() {
  require(!node_->inputs.empty() && node_->integers.size() == 8, "a convolution lacks inputs or integers");
  const Geometry geometry{integer(0, 1, 5), integer(1, 1, 5), integer(2, 0, 2)};
  IntegerConvArgs args;
  args.shuffle = integer(3, 1, 2);
  args.wide = integer(4, 0, 1) == 1;
  args.keep = static_cast<Half>(integer(5, 0, 2));
  args.needed = static_cast<Half>(integer(6, 0, 2));
  // The residual is the last input, the table the last parameter.
  const bool with_residual = integer(7, 0, 1) == 1;
  const bool with_table = node_->parameters.size() == 4;
  arity(node_->inputs.size(), 1, with_table ? 4 : 3, 8, 0);
  require(geometry.kernel % 2 == 1, "the kernel of a convolution");
  require(args.needed == Half::all || args.shuffle == 1, "half of a shuffled convolution");

  args.out = mixed_output();
  // int16 holds no wider range, and a wide one is always stored as floats.
  require(args.wide == (args.out.wide.data != nullptr), "the range of a convolution");
  const auto size = [&](const auto& out) {
    require(out.height % args.shuffle == 0 && out.width % args.shuffle == 0, "the output of a convolution");
    args.width = out.width / args.shuffle;
    args.rows = {out.height / args.shuffle, 1};
    return out.channels;
  };
  const int channels = args.wide ? size(args.out.wide) : size(args.out.narrow);
  const std::size_t parts = node_->inputs.size() - (with_residual ? 1 : 0);
  require(parts > 0, "a convolution lacks inputs");
  if (with_residual) {
    args.residual = mixed_input(parts);
    const bool same = args.wide ? same_shape(args.residual, args.out.wide) : same_shape(args.residual, args.out.narrow);
    require(same, "the residual of a convolution");
  }

  std::vector<int> splits;
  const auto runs = std::make_shared<std::vector<IntegerRun>>();
  for (std::size_t i = 0; i < parts; i++) {
    const IntegerView& in = integer_input(i);
    require(fits(in, i, geometry, args.rows.count, args.width), "the input of a convolution");
    splits.push_back(in.channels);
    append_runs(*runs, in, geometry, 2);
  }
  const auto packed = pack_integers(splits, geometry.kernel, channels, args.shuffle);
  std::shared_ptr<const Array<int16_t>> values;
  if (with_table) values = table(3, -2048, 2047);
  args.table = values ? values->get() : nullptr;
  args.runs = runs->data();
  args.run_count = static_cast<int>(runs->size());
  args.panels = packed->panels.data();
  args.panel_count = static_cast<int>(packed->panels.size());
  args.bias = packed->bias.get();
  args.shift = packed->shift.get();
  divide(args, *packed);
  const int items = args.panel_blocks() * args.rows.items();
  return kernel_step(kernels_.integer_conv, args, items, args.scratch(), {packed, values, runs});
}

std::unique_ptr<Step> StepBuilder::integer_depthwise() {
  const bool with_table = node_->parameters.size() == 4;
  arity(1, 1, with_table ? 4 : 3, 0, 0);
  IntegerDepthwiseArgs args;
  args.input = integer_input(0);
  args.output = integer_output();
  require(same_shape(args.input, args.output), "shapes of a depthwise convolution");
  const auto channels = static_cast<std::size_t>(args.input.channels);
  const auto lanes = static_cast<std::size_t>(args.input.pixel);
  const Values<int32_t> weight = integers(0, channels * 9);
  const Values<int32_t> bias = integers(1, channels);
  const Values<int32_t> shift = integers(2, channels);
  const auto packed = cache_.get<PackedIntegers>("depthwise:" + weight.key + ":" + bias.key + ":" + shift.key, [&] {
    PackedIntegers made;
    made.weights = allocate<int16_t>(9 * lanes);
    made.bias = allocate<int32_t>(lanes);
    made.shift = allocate<int32_t>(lanes);
    for (std::size_t c = 0; c < channels; c++) {
      for (std::size_t t = 0; t < 9; t++) {
        made.weights[t * lanes + c] = static_cast<int16_t>(checked(weight.data[c * 9 + t], INT16_MIN, INT16_MAX));
      }
      pack_rounding(made, c, bias.data[c], shift.data[c]);
    }
    return made;
  });
  std::shared_ptr<const Array<int16_t>> values;
  if (with_table) values = table(3, -2048, 2047);
  args.table = values ? values->get() : nullptr;
  args.weights = packed->weights.get();
  args.bias = packed->bias.get();
  args.shift = packed->shift.get();
  args.rows = rows_of(args.input.height, args.input.width * args.input.pixel, 8192);
  return kernel_step(kernels_.integer_depthwise, args, args.rows.items(), 0, {packed, values});
}

std::unique_ptr<Step> StepBuilder::requantise() {
  arity(1, 1, 1, 0, 0);
  RequantiseArgs args;
  args.input = input(0);
  args.output = integer_output();
  require(!args.input.planar() && same_shape(args.input, args.output), "shapes of a requantisation");
  args.shift = shift(0);
  args.rows = rows_of(args.input.height, args.input.width * args.input.pixel);
  return kernel_step(kernels_.requantise, args, args.rows.items());
}

std::unique_ptr<Step> StepBuilder::integer_layer_norm() {
  arity(1, 1, 5, 0, 0);
  IntegerLayerNormArgs args;
  args.input = mixed_input(0);
  args.output = integer_output();
  require(same_shape(args.input, args.output) && args.output.channels <= kMaxNormChannels, "shapes of a layer norm");
  const auto channels = static_cast<std::size_t>(args.output.channels);
  const auto lanes = static_cast<std::size_t>(args.output.pixel);
  const Values<int32_t> weight = integers(0, channels);
  const Values<int32_t> bias = integers(1, channels);
  const Values<int32_t> shift = integers(2, channels);
  const Values<int32_t> roots = integers(3, kRootTable);
  struct Norm {
    PackedIntegers rounding;
    Array<int32_t> weight;
    Array<int32_t> roots;
  };
  const std::string key = "norm:" + weight.key + ":" + bias.key + ":" + shift.key + ":" + roots.key;
  const auto packed = cache_.get<Norm>(key, [&] {
    Norm made;
    made.rounding.bias = allocate<int32_t>(lanes);
    made.rounding.shift = allocate<int32_t>(lanes);
    made.weight = allocate<int32_t>(lanes);
    made.roots = allocate<int32_t>(kRootTable);
    for (std::size_t c = 0; c < channels; c++) {
      made.weight[c] = checked(weight.data[c], INT16_MIN, INT16_MAX);
      pack_rounding(made.rounding, c, bias.data[c], shift.data[c]);
    }
    for (std::size_t k = 0; k < kRootTable; k++) made.roots[k] = checked(roots.data[k], 0, UINT16_MAX);
    return made;
  });
  args.weight = packed->weight.get();
  args.bias = packed->rounding.bias.get();
  args.shift = packed->rounding.shift.get();
  args.rsqrt = packed->roots.get();
  args.epsilon = static_cast<uint32_t>(checked(integers(4, 1).data[0], 0, (1 << 20) - 1));
  args.rows = rows_of(args.output.height, args.output.width * args.output.pixel, 8192);
  return kernel_step(kernels_.integer_layer_norm, args, args.rows.items(), 0, {packed});
}

}  // namespace cleric::cpu
