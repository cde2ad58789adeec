// Steps that only move values: between layouts, channels, even and odd samples, host and tensors.
#include <cstring>
#include <type_traits>

#include "cpu/steps/step_builder.h"

namespace cleric::cpu {

namespace {

template <typename From, typename To = From>
struct Move {
  BasicView<From> from;
  BasicView<To> to;
};

/// An activation has 12 bits. Other values are clamped to that, since sums are proven not to overflow only then.
template <typename To, typename From>
To converted(From value) {
  if constexpr (std::is_same_v<To, int16_t> && std::is_same_v<From, float>) {
    // NaN fails the first comparison.
    const float low = value > -2048.0f ? value : -2048.0f;
    return static_cast<int16_t>(low < 2048.0f ? low : 2048.0f);
  } else {
    return static_cast<To>(value);
  }
}

template <typename From, typename To>
void move_row(const Move<From, To>& move, std::ptrdiff_t y) {
  const BasicView<From>& from = move.from;
  const BasicView<To>& to = move.to;
  if constexpr (std::is_same_v<From, To>) {
    if (!from.planar() && !to.planar()) {
      const auto bytes = static_cast<std::size_t>(from.channels) * sizeof(From);
      for (int x = 0; x < to.width; x++) std::memcpy(to.at(y, x), from.at(y, x), bytes);
      return;
    }
  }
  for (int c = 0; c < from.channels; c++) {
    const From* in = from.at(y, 0) + c * from.channel;
    To* out = to.at(y, 0) + c * to.channel;
    for (int x = 0; x < to.width; x++) out[x * to.pixel] = converted<To>(in[x * from.pixel]);
  }
}

/// A step of several copies; it owns their list.
template <typename From, typename To>
class MoveStep final : public Step {
 public:
  MoveStep(std::vector<Move<From, To>> moves, Rows rows)
      : Step(rows.items(), 0), moves_(std::move(moves)), rows_(rows) {}

  void run(int item, float*) const override {
    for (int y = rows_.first(item); y < rows_.last(item); y++) {
      for (const Move<From, To>& move : moves_) move_row(move, y);
    }
  }

 private:
  std::vector<Move<From, To>> moves_;
  Rows rows_;
};

template <typename From, typename To>
std::unique_ptr<Step> move_step(std::vector<Move<From, To>> moves) {
  const BasicView<To>& to = moves[0].to;
  for (const Move<From, To>& move : moves) {
    require(same_shape(move.from, move.to) && move.to.height == to.height, "the shapes of a copy");
  }
  const Rows rows = rows_of(to.height, std::ptrdiff_t{to.width} * to.channels);
  return std::make_unique<MoveStep<From, To>>(std::move(moves), rows);
}

template <typename Element>
BasicView<Element> channels_of(BasicView<Element> view, int first, int count) {
  require(first >= 0 && count <= view.channels - first, "the channels of a copy");
  view.data += first * view.channel;
  view.channels = count;
  return view;
}

template <typename Element>
struct MaskArgs {
  BasicView<Element> from;
  BasicView<Element> to;
  Half keep = Half::all;
  Rows rows;
};

template <typename Element>
void mask_rows(const MaskArgs<Element>& args, int item, float*) {
  const auto bytes = static_cast<std::size_t>(args.from.channels) * sizeof(Element);
  for (int y = args.rows.first(item); y < args.rows.last(item); y++) {
    for (int x = 0; x < args.to.width; x++) {
      if (kept(args.keep, y, x))
        std::memcpy(args.to.at(y, x), args.from.at(y, x), bytes);
      else
        std::memset(args.to.at(y, x), 0, bytes);
    }
  }
}

template <typename Element>
std::unique_ptr<Step> mask_step(const BasicView<Element>& from, const BasicView<Element>& to, Half keep) {
  require(!from.planar() && !to.planar() && same_shape(from, to), "the shapes of a mask");
  const MaskArgs<Element> args{from, to, keep, rows_of(to.height, to.width * to.pixel)};
  return kernel_step(mask_rows<Element>, args, args.rows.items());
}

/// Every other row (or column) from `parity` on.
View every_other(View view, bool rows, int parity) {
  int& size = rows ? view.height : view.width;
  std::ptrdiff_t& stride = rows ? view.row : view.pixel;
  require(size % 2 == 0, "the sizes of a split");
  view.data += parity * stride;
  size /= 2;
  stride *= 2;
  return view;
}

struct PoolArgs {
  View from;
  View to;
  Rows rows;
};

void pool_rows(const PoolArgs& args, int item, float*) {
  const View& in = args.from;
  const View& out = args.to;
  for (int y = args.rows.first(item); y < args.rows.last(item); y++) {
    for (int c = 0; c < in.channels; c++) {
      const float* top = in.at(2 * y, 0) + c * in.channel;
      const float* bottom = top + in.row;
      float* to = out.at(y, 0) + c * out.channel;
      for (std::ptrdiff_t x = 0; x < out.width; x++) {
        const std::ptrdiff_t left = 2 * x * in.pixel;
        const float sum = top[left] + top[left + in.pixel] + bottom[left] + bottom[left + in.pixel];
        to[x * out.pixel] = sum / 4;
      }
    }
  }
}

struct PortArgs {
  const void* from = nullptr;
  void* to = nullptr;
  View view;
  Rows rows;
};

template <typename T>
void read_planes(const PortArgs& args, int item, float*) {
  const View& v = args.view;
  for (int y = args.rows.first(item); y < args.rows.last(item); y++) {
    for (int c = 0; c < v.channels; c++) {
      const T* from = static_cast<const T*>(args.from) + (std::ptrdiff_t{c} * v.height + y) * v.width;
      float* to = v.at(y, 0) + c * v.channel;
      for (int x = 0; x < v.width; x++) to[x * v.pixel] = static_cast<float>(from[x]);
    }
  }
}

void read_rgb8(const PortArgs& args, int item, float*) {
  const View& v = args.view;
  for (int y = args.rows.first(item); y < args.rows.last(item); y++) {
    const auto* from = static_cast<const uint8_t*>(args.from) + std::ptrdiff_t{y} * v.width * v.channels;
    for (int c = 0; c < v.channels; c++) {
      float* to = v.at(y, 0) + c * v.channel;
      for (int x = 0; x < v.width; x++) to[x * v.pixel] = static_cast<float>(from[x * v.channels + c]) / 255.0f;
    }
  }
}

void write_floats(const PortArgs& args, int item, float*) {
  const View& v = args.view;
  for (int y = args.rows.first(item); y < args.rows.last(item); y++) {
    for (int c = 0; c < v.channels; c++) {
      const float* from = v.at(y, 0) + c * v.channel;
      float* to = static_cast<float*>(args.to) + (std::ptrdiff_t{c} * v.height + y) * v.width;
      for (int x = 0; x < v.width; x++) to[x] = from[x * v.pixel];
    }
  }
}

void write_int16(const PortArgs& args, int item, float*) {
  const View& v = args.view;
  for (int y = args.rows.first(item); y < args.rows.last(item); y++) {
    for (int c = 0; c < v.channels; c++) {
      const float* from = v.at(y, 0) + c * v.channel;
      auto* to = static_cast<int16_t*>(args.to) + (std::ptrdiff_t{c} * v.height + y) * v.width;
      for (int x = 0; x < v.width; x++) {
        const float value = from[x * v.pixel];
        // NaN fails both comparisons and becomes 0; a bare cast of it would be undefined.
        to[x] = value > -32768.0f && value < 32768.0f ? static_cast<int16_t>(value)
                : value >= 32768.0f                   ? INT16_MAX
                : value <= -32768.0f                  ? INT16_MIN
                                                      : int16_t{0};
      }
    }
  }
}

void write_rgb8(const PortArgs& args, int item, float*) {
  const View& v = args.view;
  for (int y = args.rows.first(item); y < args.rows.last(item); y++) {
    auto* to = static_cast<uint8_t*>(args.to) + std::ptrdiff_t{y} * v.width * v.channels;
    for (int c = 0; c < v.channels; c++) {
      const float* from = v.at(y, 0) + c * v.channel;
      for (int x = 0; x < v.width; x++) {
        const float value = from[x * v.pixel];
        // 0 for NaN. Adding 2^23 rounds to the nearest integer, ties to even.
        const float clamped = value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f;
        const float rounded = (clamped * 255.0f + 8388608.0f) - 8388608.0f;
        to[x * v.channels + c] = static_cast<uint8_t>(rounded);
      }
    }
  }
}

}  // namespace

std::unique_ptr<Step> StepBuilder::lift_split() {
  arity(1, 2, 0, 1, 0);
  const bool rows = integer(0, 0, 1) == 1;
  require(input(0).planar() && output(0).planar() && output(1).planar(), "the layouts of a split");
  return move_step<float, float>(
      {{every_other(input(0), rows, 0), output(0)}, {every_other(input(0), rows, 1), output(1)}});
}

std::unique_ptr<Step> StepBuilder::lift_merge() {
  arity(2, 1, 0, 1, 0);
  const bool rows = integer(0, 0, 1) == 1;
  require(input(0).planar() && input(1).planar() && output().planar(), "the layouts of a merge");
  return move_step<float, float>(
      {{input(0), every_other(output(), rows, 0)}, {input(1), every_other(output(), rows, 1)}});
}

std::unique_ptr<Step> StepBuilder::slice() {
  arity(1, 1, 0, 1, 0);
  const int first = integer(0, 0, INT32_MAX);
  if (is_integer(node_->inputs[0])) {
    const IntegerView& out = integer_output();
    return move_step<int16_t, int16_t>({{channels_of(integer_input(0), first, out.channels), out}});
  }
  return move_step<float, float>({{channels_of(input(0), first, output().channels), output()}});
}

std::unique_ptr<Step> StepBuilder::concat() {
  require(!node_->inputs.empty(), "the inputs of a concatenation");
  arity(node_->inputs.size(), 1, 0, 0, 0);
  const auto join = [&](const auto& out, const auto& part) {
    using Element = std::remove_reference_t<decltype(*out.data)>;
    std::vector<Move<Element, Element>> moves;
    int first = 0;
    for (std::size_t i = 0; i < node_->inputs.size(); i++) {
      moves.push_back({part(i), channels_of(out, first, part(i).channels)});
      first += part(i).channels;
    }
    require(first == out.channels, "the channels of a concatenation");
    return move_step(std::move(moves));
  };
  if (!is_integer(node_->outputs[0])) return join(output(), [&](std::size_t i) { return input(i); });
  return join(integer_output(), [&](std::size_t i) { return integer_input(i); });
}

std::unique_ptr<Step> StepBuilder::convert() {
  arity(1, 1, 0, 0, 0);
  if (is_integer(node_->inputs[0])) return move_step<int16_t, float>({{integer_input(0), output()}});
  if (is_integer(node_->outputs[0])) return move_step<float, int16_t>({{input(0), integer_output()}});
  return move_step<float, float>({{input(0), output()}});
}

std::unique_ptr<Step> StepBuilder::mask() {
  arity(1, 1, 0, 1, 0);
  const auto keep = static_cast<Half>(integer(0, 1, 2));
  if (is_integer(node_->inputs[0])) return mask_step(integer_input(0), integer_output(), keep);
  return mask_step(input(0), output(), keep);
}

std::unique_ptr<Step> StepBuilder::pool() {
  arity(1, 1, 0, 0, 0);
  const View& in = input(0);
  const View& out = output();
  require(in.channels == out.channels && in.height == 2 * out.height && in.width == 2 * out.width,
          "the shapes of a pooling");
  const PoolArgs args{in, out, rows_of(out.height, out.width * out.channels)};
  return kernel_step(pool_rows, args, args.rows.items());
}

std::size_t port_bytes(Format format, const View& view) {
  const std::size_t count = static_cast<std::size_t>(view.channels) * static_cast<std::size_t>(view.height) *
                            static_cast<std::size_t>(view.width);
  return count * (format == Format::real ? sizeof(float) : format == Format::int16 ? sizeof(int16_t) : 1);
}

std::unique_ptr<Step> input_port(Format format, const void* staging, const View& view) {
  PortArgs args{staging, nullptr, view, rows_of(view.height, view.width * view.channels)};
  const auto kernel = format == Format::real    ? read_planes<float>
                      : format == Format::int16 ? read_planes<int16_t>
                                                : read_rgb8;
  return kernel_step(kernel, args, args.rows.items());
}

std::unique_ptr<Step> output_port(Format format, void* staging, const View& view) {
  PortArgs args{nullptr, staging, view, rows_of(view.height, view.width * view.channels)};
  const auto kernel = format == Format::real ? write_floats : format == Format::int16 ? write_int16 : write_rgb8;
  return kernel_step(kernel, args, args.rows.items());
}

}  // namespace cleric::cpu
