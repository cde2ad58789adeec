#include "cpu/graph/plan.h"

#include <algorithm>

namespace cleric::cpu {

namespace {

constexpr int kMaxChannels = 1 << 16;
constexpr int kMaxSide = 1 << 15;
/// The most elements that a tensor may have with its padding, so that strides fit their types.
constexpr int64_t kMaxElements = int64_t{1} << 31;

class Reader {
 public:
  Reader(const int32_t* data, std::size_t length, const float* reals, std::size_t real_length)
      : at_(data), end_(data + length), real_at_(reals), real_end_(reals + real_length) {}

  /// The next integer, in [min, max].
  int next(int min, int max) {
    if (at_ == end_) throw BadPlan("The plan ends early");
    const int32_t value = *at_++;
    if (value < min || value > max) throw BadPlan("The plan has a number out of range: " + std::to_string(value));
    return value;
  }

  /// The next integer, as the enumerator of that number; there are as many as names.
  template <typename Enum, std::size_t N>
  Enum one_of(const std::array<const char*, N>&) {
    return static_cast<Enum>(next(0, static_cast<int>(N) - 1));
  }

  int count() { return next(0, static_cast<int>(std::min<std::ptrdiff_t>(end_ - at_, 1 << 20))); }

  /// As many integers as the next one says.
  std::vector<int> list(int min, int max) {
    std::vector<int> values(static_cast<std::size_t>(count()));
    for (int& value : values) value = next(min, max);
    return values;
  }

  std::vector<float> reals() {
    const int length = next(0, 16);
    if (real_end_ - real_at_ < length) throw BadPlan("The plan lacks reals");
    std::vector<float> values(real_at_, real_at_ + length);
    real_at_ += length;
    return values;
  }

  bool done() const { return at_ == end_ && real_at_ == real_end_; }

 private:
  const int32_t* at_;
  const int32_t* end_;
  const float* real_at_;
  const float* real_end_;
};

std::vector<PortSpec> read_ports(Reader& reader, int tensors) {
  std::vector<PortSpec> ports(static_cast<std::size_t>(reader.count()));
  for (PortSpec& port : ports) {
    port.tensor = reader.next(0, tensors - 1);
    port.format = reader.one_of<Format>(kFormatNames);
  }
  return ports;
}

NodeSpec read_node(Reader& reader, int tensors, int parameters) {
  NodeSpec node;
  node.op = reader.one_of<Op>(kOperationNames);
  node.inputs = reader.list(0, tensors - 1);
  node.outputs = reader.list(0, tensors - 1);
  node.parameters = reader.list(0, parameters - 1);
  node.integers = reader.list(INT32_MIN, INT32_MAX);
  node.reals = reader.reals();
  return node;
}

/// Each tensor is written once and read after that.
void check_order(const PlanSpec& plan) {
  std::vector<bool> written(plan.tensors.size());
  const auto write = [&](int tensor) {
    if (written[static_cast<std::size_t>(tensor)]) throw BadPlan("A tensor is written twice");
    written[static_cast<std::size_t>(tensor)] = true;
  };
  const auto read = [&](int tensor) {
    if (!written[static_cast<std::size_t>(tensor)]) throw BadPlan("A tensor is read before it is written");
  };
  for (const StageSpec& stage : plan.stages) {
    for (const PortSpec& port : stage.inputs) write(port.tensor);
    for (const NodeSpec& node : stage.nodes) {
      for (const int tensor : node.inputs) read(tensor);
      for (const int tensor : node.outputs) write(tensor);
    }
    for (const PortSpec& port : stage.outputs) read(port.tensor);
  }
}

}  // namespace

PlanSpec read_plan(const int32_t* tensors, std::size_t tensor_length, const int32_t* program,
                   std::size_t program_length, const float* reals, std::size_t real_length,
                   std::vector<ParameterSpec> parameters) {
  PlanSpec plan;
  plan.parameters = std::move(parameters);
  Reader shapes(tensors, tensor_length, nullptr, 0);
  while (!shapes.done()) {
    TensorSpec tensor{};
    tensor.channels = shapes.next(1, kMaxChannels);
    tensor.height = shapes.next(1, kMaxSide);
    tensor.width = shapes.next(1, kMaxSide);
    tensor.layout = shapes.one_of<Layout>(kLayoutNames);
    // With the most padding that a layout adds: channels or width rounded up to 16, and borders.
    const int64_t pixels = int64_t{tensor.height + 4} * (tensor.width + 20);
    if (pixels * (tensor.channels + 15) > kMaxElements) throw BadPlan("A tensor is too large");
    plan.tensors.push_back(tensor);
  }
  const int tensor_count = static_cast<int>(plan.tensors.size());
  const int parameter_count = static_cast<int>(plan.parameters.size());
  Reader reader(program, program_length, reals, real_length);
  plan.stages.resize(static_cast<std::size_t>(reader.count()));
  for (StageSpec& stage : plan.stages) {
    stage.inputs = read_ports(reader, tensor_count);
    const int nodes = reader.count();
    for (int i = 0; i < nodes; i++) stage.nodes.push_back(read_node(reader, tensor_count, parameter_count));
    stage.outputs = read_ports(reader, tensor_count);
  }
  if (!reader.done()) throw BadPlan("The plan goes on after its end");
  check_order(plan);
  return plan;
}

}  // namespace cleric::cpu
