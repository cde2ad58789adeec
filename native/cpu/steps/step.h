// One kernel's work, ready to run.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace cleric::cpu {

/// Items of work that any number of threads may share; it can be run any number of times.
class Step {
 public:
  Step(int items, std::size_t scratch) : items_(items), scratch_(scratch) {}
  virtual ~Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  /// Called from several threads at once, each with another item and `scratch` floats of its own.
  virtual void run(int item, float* scratch) const = 0;

  int items() const { return items_; }
  std::size_t scratch() const { return scratch_; }

 private:
  int items_;
  std::size_t scratch_;
};

/// A kernel with its arguments, and whatever these point into.
template <typename Args>
class KernelStep final : public Step {
 public:
  using Kernel = void (*)(const Args&, int, float*);
  using Kept = std::vector<std::shared_ptr<const void>>;

  KernelStep(Kernel kernel, Args args, int items, std::ptrdiff_t scratch, Kept kept)
      : Step(items, static_cast<std::size_t>(scratch)), kernel_(kernel), args_(args), kept_(std::move(kept)) {}

  void run(int item, float* scratch) const override { kernel_(args_, item, scratch); }

 private:
  Kernel kernel_;
  Args args_;
  Kept kept_;
};

template <typename Args>
std::unique_ptr<Step> kernel_step(void (*kernel)(const Args&, int, float*), Args args, int items,
                                  std::ptrdiff_t scratch = 0, std::vector<std::shared_ptr<const void>> kept = {}) {
  return std::make_unique<KernelStep<Args>>(kernel, args, items, scratch, std::move(kept));
}

}  // namespace cleric::cpu
