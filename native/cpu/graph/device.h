// What the executables of a backend share.
#pragma once

#include "cpu/graph/pool.h"
#include "cpu/graph/queue.h"
#include "cpu/kernels/kernels.h"
#include "cpu/steps/weights.h"

namespace cleric::cpu {

struct Device {
  /// @param threads with the queue's
  /// @throws std::system_error if the system gives no thread at all
  Device(int threads, const KernelTable& table) : kernels(table), pool(threads) {}

  const KernelTable& kernels;
  WeightCache cache;
  Pool pool;
  /// Whatever runs on the pool, runs from here. Its thread uses the pool: it goes first, when the device goes.
  Queue queue;
};

}  // namespace cleric::cpu
