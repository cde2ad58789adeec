// A graph made ready: memory planned, parameters packed, every node a step.
#pragma once

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

#include "cpu/graph/device.h"
#include "cpu/graph/plan.h"
#include "cpu/steps/memory.h"
#include "cpu/steps/step_builder.h"

namespace cleric::cpu {

class Aborted : public std::runtime_error {
 public:
  Aborted() : std::runtime_error("aborted") {}
};

/// The host's side of a port.
struct Staging {
  Format format;
  std::size_t bytes;
  std::unique_ptr<std::byte[]> data;
};

class Executable {
 public:
  /// @throws BadPlan, std::bad_alloc
  Executable(std::shared_ptr<Device> device, PlanSpec plan);

  const std::shared_ptr<Device>& device() const { return device_; }
  std::size_t stages() const { return stages_.size(); }
  std::vector<Staging>& inputs(std::size_t stage) { return stages_[stage].inputs; }
  std::vector<Staging>& outputs(std::size_t stage) { return stages_[stage].outputs; }
  /// Seconds that each node of a stage took when it last ran.
  const std::vector<double>& seconds(std::size_t stage) const { return stages_[stage].seconds; }
  /// Bytes of activations, staging and scratch.
  std::size_t bytes() const { return bytes_; }

  /// Whether the stage's inputs from earlier stages are there.
  bool can_run(std::size_t stage) const { return stage == 0 || stage == next_; }

  /// From staged inputs to staged outputs. Allocates nothing. Called from the device's queue.
  ///
  /// @throws Aborted between two nodes, once `cancelled` is set
  void run(std::size_t stage, const std::atomic<bool>& cancelled);

 private:
  struct Stage {
    std::vector<Staging> inputs;
    std::vector<Staging> outputs;
    std::vector<std::unique_ptr<Step>> before;
    std::vector<std::unique_ptr<Step>> nodes;
    std::vector<std::unique_ptr<Step>> after;
    std::vector<double> seconds;
  };

  Staging stage_memory(Format format, const View& view);

  std::shared_ptr<Device> device_;
  std::vector<Array<std::byte>> buffers_;
  std::vector<Floats> scratches_;
  std::vector<Stage> stages_;
  std::size_t next_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace cleric::cpu
