// What the executables of a backend share.
#pragma once

#include "cpu/graph/pool.h"
#include "cpu/graph/queue.h"
#include "cpu/kernels/kernels.h"
#include "cpu/steps/weights.h"

namespace cleric::cpu {

struct Device {
  /// @param threads how many work, the queue's thread included
  /// @throws std::system_error if the system gives no thread at all
  Device(int threads, const KernelTable& table) : kernels(table), pool(threads) {}

  const KernelTable& kernels;
  WeightCache cache;
  Pool pool;
  /// All that uses the pool runs from this queue. It is declared last because its thread uses the members above, so it
  /// must be the first to be destroyed.
  Queue queue;
};

}  // namespace cleric::cpu
