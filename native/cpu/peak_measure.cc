#include <chrono>

#include "peak.h"

namespace cleric::cpu {

namespace {

/// Some milliseconds an item.
constexpr int kRounds = 1 << 20;
/// So that a thread that starts late leaves the others little to wait for.
constexpr int kItemsPerThread = 4;

class PeakStep final : public Step {
 public:
  PeakStep(int items, PeakKernel kernel) : Step(items, 1), kernel_(kernel) {}

  void run(int item, float* scratch) const override { *scratch = kernel_.run(kRounds, static_cast<float>(item)); }

 private:
  PeakKernel kernel_;
};

}  // namespace

double measure_peak(Pool& pool, const KernelTable& table) {
  const PeakKernel kernel = peak_kernel(table);
  const PeakStep step(kItemsPerThread * pool.threads(), kernel);
  std::vector<Floats> scratches;
  for (int i = 0; i < pool.threads(); i++) scratches.push_back(allocate(step.scratch()));
  const std::lock_guard lock(pool.turn());
  const auto began = std::chrono::steady_clock::now();
  pool.run(step, scratches);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  return static_cast<double>(kernel.operations) * kRounds * step.items() / seconds.count();
}

}  // namespace cleric::cpu
