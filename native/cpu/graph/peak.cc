#include "cpu/graph/peak.h"

#include <chrono>

namespace cleric::cpu {

namespace {

/// Rounds of an item, which take some milliseconds.
constexpr int kRounds = 1 << 20;
/// Several, so that the others don't wait long for a thread that starts late.
constexpr int kItemsPerThread = 4;

}  // namespace

double measure_peak(Device& device) {
  const PeakArgs args{kRounds};
  const auto step = kernel_step(device.kernels.peak, args, kItemsPerThread * device.pool.threads(), args.scratch());
  std::vector<Floats> scratches;
  for (int i = 0; i < device.pool.threads(); i++) scratches.push_back(allocate(step->scratch()));
  const auto began = std::chrono::steady_clock::now();
  device.pool.run(*step, scratches);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  const int operations = 2 * PeakArgs::kChains * device.kernels.width;
  return static_cast<double>(operations) * kRounds * step->items() / seconds.count();
}

}  // namespace cleric::cpu
