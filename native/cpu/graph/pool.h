// Threads that share the items of a kernel.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "cpu/steps/memory.h"
#include "cpu/steps/step.h"

namespace cleric::cpu {

/// One thread at a time may call `run`, and works too, so that a pool of one thread has no threads of its own.
///
/// Kernels follow each other within microseconds, so an idle thread spins for a while before it sleeps.
class Pool {
 public:
  /// Has fewer threads if the system refuses some.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Runs all items of a step; `scratches` has one buffer a thread.
  void run(const Step& step, const std::vector<Floats>& scratches);

 private:
  void work(const Step& step, float* scratch);
  void loop(std::size_t worker);
  bool has_work() const;

  static constexpr unsigned kOpen = 1u << 31;

  /// kOpen while there are items to take, plus the number of workers that are at it.
  std::atomic<unsigned> state_{0};
  std::atomic<int> next_{0};
  std::atomic<int> items_{0};
  std::atomic<const Step*> step_{nullptr};
  std::atomic<const std::vector<Floats>*> scratches_{nullptr};

  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace cleric::cpu
