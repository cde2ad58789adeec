// Steps that are matrix products: convolutions, deformable convolutions, GDN.
#include <algorithm>
#include <numeric>

#include "cpu/steps/step_builder.h"

namespace cleric::cpu {

namespace {

/// The most multiply-adds of an item of several rows. It has several because neighbouring rows read the same input.
constexpr double kItemWork = 2e7;
/// How many blocks of rows there should be to keep many threads equally busy.
constexpr int kRowBlocks = 32;
/// How many floats of gathered samples an item has: they should fit into the second-level cache beside the weights.
constexpr std::ptrdiff_t kColumnFloats = 24 << 10;
/// Items that a Winograd convolution should have at least, to keep many threads busy.
constexpr int kWinogradItems = 16;

}  // namespace

void StepBuilder::place(MatrixArgs& matrix, const View& out, int shuffle) const {
  require(!out.planar() && out.height % shuffle == 0 && out.width % shuffle == 0, "the output of a convolution");
  matrix.width = out.width / shuffle;
  matrix.rows = {out.height / shuffle, 1};
  matrix.epilogue.shuffle = shuffle;
  matrix.epilogue.out = out;
}

void StepBuilder::use(MatrixArgs& matrix, const Packed& packed) const {
  matrix.panels = packed.panels.data();
  matrix.panel_count = static_cast<int>(packed.panels.size());
  matrix.bias = packed.bias.get();
  matrix.panels_per_item = fitting_panels(packed.panel_bytes, packed.panels.size());
  const double row_work = static_cast<double>(packed.bytes) / sizeof(float) * matrix.width * matrix.panels_per_item /
                          static_cast<double>(packed.panels.size());
  const double rows = std::clamp(kItemWork / row_work, 1.0, std::max(1.0, 1.0 * matrix.rows.count / kRowBlocks));
  matrix.rows.per_item = static_cast<int>(rows);
}

/// Depth runs over inputs, taps and channels, as the kernels meet them; lanes over sub-pixels and channels.
std::shared_ptr<const Packed> StepBuilder::pack_conv(const std::vector<int>& splits, int kernel, const View& out,
                                                     int shuffle) {
  const std::size_t inner = std::accumulate(splits.begin(), splits.end(), std::size_t{0});
  const auto taps = static_cast<std::size_t>(kernel * kernel);
  const auto groups = static_cast<std::size_t>(shuffle * shuffle);
  const auto channels = static_cast<std::size_t>(out.channels);
  const auto group_lanes = static_cast<std::size_t>(out.pixel);
  const Values<float> weight = reals(0, channels * groups * inner * taps);
  const Values<float> bias = reals(1, channels * groups);
  const std::string key = conv_key("conv:" + weight.key + ":" + bias.key, splits, kernel, shuffle, out.channels);
  return cache_.get<Packed>(key, [&] {
    const std::vector<std::size_t> order = filter_order(splits, taps, 1);
    // The filter of each lane; none for padding.
    std::vector<const float*> filters(group_lanes * groups);
    std::vector<float> biases(group_lanes * groups);
    for (std::size_t c = 0; c < channels; c++) {
      for (std::size_t g = 0; g < groups; g++) {
        filters[g * group_lanes + c] = weight.data + (c * groups + g) * order.size();
        biases[g * group_lanes + c] = bias.data[c * groups + g];
      }
    }
    return pack_matrix(
        kernels_, static_cast<int>(filters.size()), order.size(),
        [&](int lane, std::size_t k) {
          const float* filter = filters[static_cast<std::size_t>(lane)];
          return filter ? filter[order[k]] : 0.0f;
        },
        [&](int lane) { return biases[static_cast<std::size_t>(lane)]; });
  });
}

/// Depth runs over points and channels.
std::shared_ptr<const Packed> StepBuilder::pack_winograd(int inputs, const View& out) {
  const auto inner = static_cast<std::size_t>(inputs);
  const auto channels = static_cast<std::size_t>(out.channels);
  const Values<float> weight = reals(0, channels * inner * 9);
  const Values<float> bias = reals(1, channels);
  const std::string key = conv_key("winograd:" + weight.key + ":" + bias.key, {inputs}, 3, 1, out.channels);
  return cache_.get<Packed>(key, [&] {
    std::vector<float> points(channels * inner * kTilePoints);
    for (std::size_t i = 0; i < channels * inner; i++) {
      filter_at_points(weight.data + i * 9, points.data() + i * kTilePoints);
    }
    return pack_matrix(
        kernels_, static_cast<int>(out.pixel), kTilePoints * inner,
        [&](int lane, std::size_t k) {
          const auto c = static_cast<std::size_t>(lane);
          return c < channels ? points[(c * inner + k % inner) * kTilePoints + k / inner] : 0.0f;
        },
        [&](int lane) {
          const auto c = static_cast<std::size_t>(lane);
          return c < channels ? bias.data[c] : 0.0f;
        });
  });
}

std::unique_ptr<Step> StepBuilder::winograd(const MatrixArgs& placed) {
  WinogradArgs args;
  args.input = input(0);
  MatrixArgs& matrix = args.matrix;
  matrix = placed;
  const auto packed = pack_winograd(args.input.channels, matrix.epilogue.out);
  use(matrix, *packed);
  const int tile_rows = std::max(1, WinogradArgs::kTiles / args.strip());
  matrix.rows.per_item = std::min(tile_rows * kTileOutputs, matrix.rows.count);
  // Each block of panels transforms the input anew, which takes little of its time.
  matrix.panels_per_item = std::max(1, matrix.panel_count * matrix.rows.items() / kWinogradItems);
  return kernel_step(kernels_.winograd, args, matrix.panel_blocks() * matrix.rows.items(), args.scratch(), {packed});
}

std::unique_ptr<Step> StepBuilder::conv() {
  require(!node_->inputs.empty() && node_->integers.size() == 7, "a convolution lacks inputs or integers");
  const int kernel = integer(0, 1, 3);
  const int stride = integer(1, 1, 2);
  const int padding = integer(2, 0, 1);
  const auto activation = static_cast<Finish>(integer(3, 0, 1));
  const int shuffle = integer(4, 1, 2);
  // The residual is the last input.
  const bool with_residual = integer(5, 0, 1) == 1;
  const bool for_pixels = integer(6, 0, 1) == 1;
  arity(node_->inputs.size(), 1, 2, 7, 0);
  require(kernel != 2, "the kernel of a convolution");

  MatrixArgs matrix;
  const View& out = output();
  place(matrix, out, shuffle);
  matrix.epilogue.finish = activation;
  const std::size_t parts = node_->inputs.size() - (with_residual ? 1 : 0);
  require(parts > 0, "a convolution lacks inputs");
  if (with_residual) {
    matrix.epilogue.residual = input(parts);
    require(!input(parts).planar() && same_shape(input(parts), out), "the residual of a convolution");
  }

  std::vector<int> splits;
  const auto runs = std::make_shared<std::vector<Run>>();
  for (std::size_t i = 0; i < parts; i++) {
    const View& in = input(i);
    require(!in.planar() && fits(in, i, {kernel, stride, padding}, matrix.rows.count, matrix.width),
            "the input of a convolution");
    splits.push_back(in.channels);
    append_runs(*runs, in, {kernel, stride, padding}, 1);
  }
  const bool is_plain = kernel == 3 && stride == 1 && padding == 1 && shuffle == 1 && parts == 1;
  const bool is_tiled = matrix.width % kTileOutputs == 0 && matrix.rows.count % kTileOutputs == 0;
  if (for_pixels && is_plain && is_tiled) return winograd(matrix);
  const auto packed = pack_conv(splits, kernel, out, shuffle);
  use(matrix, *packed);
  matrix.runs = runs->data();
  matrix.run_count = static_cast<int>(runs->size());
  const int items = matrix.panel_blocks() * matrix.rows.items();
  return kernel_step(kernels_.matrix, matrix, items, matrix.scratch(), {packed, runs});
}

std::unique_ptr<Step> StepBuilder::deform() {
  arity(2, 1, 2, 3, 0);
  DeformArgs args;
  args.input = input(0);
  args.offsets = input(1);
  args.stride = integer(0, 1, 2);
  const int shuffle = integer(2, 1, 2);
  MatrixArgs& matrix = args.matrix;
  place(matrix, output(), shuffle);
  matrix.epilogue.finish = static_cast<Finish>(integer(1, 0, 1));
  const auto strided = [&](int size) { return (size - 1) / args.stride + 1; };
  require(!args.input.planar() && !args.offsets.planar() && args.offsets.channels == 27, "a deformable convolution");
  require(args.offsets.height == matrix.rows.count && args.offsets.width == matrix.width &&
              strided(args.input.height) == matrix.rows.count && strided(args.input.width) == matrix.width,
          "the sizes of a deformable convolution");
  const auto packed = pack_conv({args.input.channels}, 3, output(), shuffle);
  use(matrix, *packed);
  matrix.panels_per_item = matrix.panel_count;
  const std::ptrdiff_t pixels = std::max<std::ptrdiff_t>(16, kColumnFloats / (9 * args.input.pixel));
  args.block = static_cast<int>(std::min<std::ptrdiff_t>(pixels, matrix.width));
  return kernel_step(kernels_.deform, args, matrix.rows.count * args.blocks(), args.scratch(), {packed});
}

std::unique_ptr<Step> StepBuilder::gdn() {
  require(node_->inputs.size() == 1 || node_->inputs.size() == 2, "the inputs of a GDN");
  arity(node_->inputs.size(), 1, 2, 1, 0);
  GdnArgs args;
  args.input = input(0);
  const View& out = output();
  require(!args.input.planar() && same_shape(args.input, out), "the shape of a GDN");
  MatrixArgs& matrix = args.matrix;
  place(matrix, out, 1);
  matrix.epilogue.finish = integer(0, 0, 1) == 1 ? Finish::multiply_root : Finish::divide_root;
  matrix.epilogue.factor = args.input;
  if (node_->inputs.size() == 2) {
    matrix.epilogue.residual = input(1);
    require(!input(1).planar() && same_shape(input(1), out), "the residual of a GDN");
  }
  const auto channels = static_cast<std::size_t>(out.channels);
  const Values<float> beta = reals(0, channels);
  const Values<float> gamma = reals(1, channels * channels);
  const auto packed = cache_.get<Packed>("gdn:" + beta.key + ":" + gamma.key, [&] {
    return pack_matrix(
        kernels_, static_cast<int>(out.pixel), channels,
        [&](int lane, std::size_t k) {
          const auto c = static_cast<std::size_t>(lane);
          const float g = c < channels ? gamma.data[c * channels + k] : 0.0f;
          return g * g;
        },
        [&](int lane) {
          // Padding has 1, so that nothing is divided by zero.
          const auto c = static_cast<std::size_t>(lane);
          const float b = c < channels ? beta.data[c] : 1.0f;
          return b * b;
        });
  });
  use(matrix, *packed);
  matrix.panels_per_item = matrix.panel_count;
  return kernel_step(kernels_.gdn, args, matrix.rows.items(), args.scratch(), {packed});
}

}  // namespace cleric::cpu
