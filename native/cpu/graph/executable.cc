#include "cpu/graph/executable.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <tuple>

namespace cleric::cpu {

namespace {

/// Gives tensors memory for as long as they are read, over all stages.
///
/// Only tensors of the same shape, layout and border use a buffer again, so that the zeros of the border and those
/// between the channels stay where they are.
class Planner {
 public:
  explicit Planner(const PlanSpec& plan) : plan_(plan), last_use_(plan.tensors.size(), -1) {
    int at = 0;
    for (const StageSpec& stage : plan.stages) {
      for (const PortSpec& port : stage.inputs) use(port.tensor, at);
      for (const NodeSpec& node : stage.nodes) {
        at++;
        for (const int tensor : node.inputs) use(tensor, at);
        for (const int tensor : node.outputs) use(tensor, at);
      }
      at++;
      for (const PortSpec& port : stage.outputs) use(port.tensor, at);
    }
  }

  /// Memory for a tensor that is written at step `at`.
  void place(int tensor, Tensors& tensors, std::vector<Array<std::byte>>& buffers, std::size_t& bytes) {
    const TensorSpec& spec = plan_.tensors[static_cast<std::size_t>(tensor)];
    const Key key{spec.layout, spec.channels, spec.height, spec.width, spec.border};
    const auto at = static_cast<std::size_t>(tensor);
    if (spec.layout == Layout::integers)
      tensors.integers[at] = take<int16_t>(tensor, spec, key, buffers, bytes);
    else
      tensors.reals[at] = take<float>(tensor, spec, key, buffers, bytes);
  }

  /// Frees what is not read after step `at`.
  void release(int at) {
    std::erase_if(live_, [&](const Live& live) {
      if (last_use_[static_cast<std::size_t>(live.tensor)] > at) return false;
      free_[live.key].push_back(live.buffer);
      return true;
    });
  }

 private:
  using Key = std::tuple<Layout, int, int, int, int>;
  struct Live {
    int tensor;
    std::size_t buffer;
    Key key;
  };

  template <typename Element>
  BasicView<Element> take(int tensor, const TensorSpec& spec, const Key& key, std::vector<Array<std::byte>>& buffers,
                          std::size_t& bytes) {
    BasicView<Element> view;
    view.channels = spec.channels;
    view.height = spec.height;
    view.width = spec.width;
    std::ptrdiff_t elements = 0;
    std::ptrdiff_t first = 0;
    if (spec.layout == Layout::planar) {
      view.pixel = 1;
      view.row = padded(spec.width);
      view.channel = view.row * spec.height;
      elements = view.channel * spec.channels;
    } else {
      view.pixel = padded(spec.channels);
      view.row = view.pixel * (spec.width + 2 * spec.border);
      view.channel = 1;
      elements = view.row * (spec.height + 2 * spec.border);
      first = view.row * spec.border + view.pixel * spec.border;
    }
    std::vector<std::size_t>& free = free_[key];
    if (free.empty()) {
      const std::size_t size = static_cast<std::size_t>(elements) * sizeof(Element);
      buffers.push_back(allocate<std::byte>(size));
      bytes += size;
      free.push_back(buffers.size() - 1);
    }
    const std::size_t buffer = free.back();
    free.pop_back();
    live_.push_back({tensor, buffer, key});
    view.data = reinterpret_cast<Element*>(buffers[buffer].get()) + first;
    return view;
  }

  void use(int tensor, int at) { last_use_[static_cast<std::size_t>(tensor)] = at; }

  const PlanSpec& plan_;
  std::vector<int> last_use_;
  std::map<Key, std::vector<std::size_t>> free_;
  std::vector<Live> live_;
};

}  // namespace

Executable::Executable(std::shared_ptr<Device> device, PlanSpec plan) : device_(std::move(device)) {
  for (const StageSpec& stage : plan.stages) {
    for (const NodeSpec& node : stage.nodes) {
      for (const int tensor : node.inputs) {
        int& border = plan.tensors[static_cast<std::size_t>(tensor)].border;
        border = std::max(border, border_of(node));
      }
    }
  }
  Planner planner(plan);
  StepBuilder builder(device_->kernels, device_->cache, plan.tensors, plan.parameters);
  Tensors tensors{std::vector<View>(plan.tensors.size()), std::vector<IntegerView>(plan.tensors.size())};
  const auto place = [&](int tensor) { planner.place(tensor, tensors, buffers_, bytes_); };
  // The host exchanges floats; a plan converts its other tensors itself.
  const auto port_view = [&](int tensor) {
    const View& view = tensors.reals[static_cast<std::size_t>(tensor)];
    require(view.data != nullptr, "a port of integers");
    return view;
  };
  int at = 0;
  for (const StageSpec& spec : plan.stages) {
    Stage& stage = stages_.emplace_back();
    for (const PortSpec& port : spec.inputs) {
      place(port.tensor);
      const View view = port_view(port.tensor);
      stage.inputs.push_back(stage_memory(port.format, view));
      stage.before.push_back(input_port(port.format, stage.inputs.back().data.get(), view));
    }
    for (const NodeSpec& node : spec.nodes) {
      at++;
      for (const int tensor : node.outputs) place(tensor);
      stage.nodes.push_back(builder.build(node, tensors));
      planner.release(at);
    }
    at++;
    for (const PortSpec& port : spec.outputs) {
      const View view = port_view(port.tensor);
      stage.outputs.push_back(stage_memory(port.format, view));
      stage.after.push_back(output_port(port.format, stage.outputs.back().data.get(), view));
    }
    planner.release(at);
    stage.seconds.resize(stage.nodes.size());
  }
  std::size_t scratch = 0;
  for (const Stage& stage : stages_) {
    for (const auto& step : stage.nodes) scratch = std::max(scratch, step->scratch());
  }
  for (int i = 0; i < device_->pool.threads(); i++) {
    scratches_.push_back(allocate(scratch));
    bytes_ += scratch * sizeof(float);
  }
}

Staging Executable::stage_memory(Format format, const View& view) {
  const std::size_t bytes = port_bytes(format, view);
  bytes_ += bytes;
  return {format, bytes, std::make_unique<std::byte[]>(bytes)};
}

void Executable::run(std::size_t index, const std::atomic<bool>& cancelled) {
  Stage& stage = stages_[index];
  // A stage that is cut short leaves nothing that the next stage could go on from.
  next_ = 0;
  const auto all = [&](const std::vector<std::unique_ptr<Step>>& steps) {
    for (const auto& step : steps) device_->pool.run(*step, scratches_);
  };
  all(stage.before);
  auto before = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < stage.nodes.size(); i++) {
    if (cancelled.load(std::memory_order_relaxed)) throw Aborted();
    device_->pool.run(*stage.nodes[i], scratches_);
    const auto after = std::chrono::steady_clock::now();
    stage.seconds[i] = std::chrono::duration<double>(after - before).count();
    before = after;
  }
  all(stage.after);
  next_ = index + 1 < stages_.size() ? index + 1 : 0;
}

}  // namespace cleric::cpu
