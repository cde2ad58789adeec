#include "cpu/graph/pool.h"

#include <system_error>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace cleric::cpu {

namespace {

/// Some 100 microseconds: longer than the gap between two kernels, yet too short to matter to other programs.
constexpr int kSpins = 2000;

inline void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Pool::Pool(int threads) {
  workers_.reserve(static_cast<std::size_t>(threads));
  try {
    for (int i = 1; i < threads; i++) {
      workers_.emplace_back([this, i] { loop(static_cast<std::size_t>(i)); });
    }
  } catch (const std::system_error&) {
    // The system gives no more; results don't depend on how many there are.
  }
}

Pool::~Pool() {
  {
    const std::lock_guard lock(sleep_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::run(const Step& step, const std::vector<Floats>& scratches) {
  float* const own = scratches[0].get();
  if (workers_.empty() || step.items() <= 1) {
    for (int item = 0; item < step.items(); item++) step.run(item, own);
    return;
  }
  step_.store(&step, std::memory_order_relaxed);
  scratches_.store(&scratches, std::memory_order_relaxed);
  next_.store(0, std::memory_order_relaxed);
  items_.store(step.items(), std::memory_order_relaxed);
  state_.store(kOpen);
  if (sleepers_.load() > 0) {
    { const std::lock_guard lock(sleep_mutex_); }
    wake_.notify_all();
  }
  work(step, own);
  // No further worker enters the step now; those inside finish their item.
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (int spins = 0; state_.load(std::memory_order_acquire) != 0; spins++) {
    if (spins < kSpins)
      pause();
    else
      std::this_thread::yield();
  }
}

void Pool::work(const Step& step, float* scratch) {
  for (int item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < step.items();) step.run(item, scratch);
}

bool Pool::has_work() const {
  return (state_.load() & kOpen) != 0 && next_.load(std::memory_order_relaxed) < items_.load(std::memory_order_relaxed);
}

void Pool::loop(std::size_t worker) {
  int spins = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (has_work()) {
      unsigned state = state_.load(std::memory_order_acquire);
      // Entering fails if the step closed meanwhile; then its data may be gone.
      if ((state & kOpen) != 0 && state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) {
        work(*step_.load(std::memory_order_relaxed), (*scratches_.load(std::memory_order_relaxed))[worker].get());
        state_.fetch_sub(1, std::memory_order_release);
        spins = 0;
      }
    } else if (spins++ < kSpins) {
      pause();
    } else {
      std::unique_lock lock(sleep_mutex_);
      sleepers_++;
      wake_.wait(lock, [this] { return stopping_.load() || has_work(); });
      sleepers_--;
      spins = 0;
    }
  }
}

}  // namespace cleric::cpu
