// The pool of threads without Node: every item of every step is run once, whatever the number of threads, also where steps
// follow each other so closely that threads are late, or so far apart that they sleep. `pool_test SEED ROUNDS`;
// scripts/sanitize runs it under ThreadSanitizer and valgrind.

#include "cpu/graph/pool.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace {

using cleric::cpu::Floats;
using cleric::cpu::Pool;
using cleric::cpu::Step;

constexpr std::size_t kScratch = 16;

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::exit(1);
}

/// Counts its items in memory that nothing guards: only one thread may have an item.
class Counting final : public Step {
 public:
  explicit Counting(int items) : Step(items, kScratch), counts_(static_cast<std::size_t>(items)) {}

  void run(int item, float* scratch) const override {
    for (std::size_t i = 0; i < kScratch; i++) scratch[i] = static_cast<float>(item) + static_cast<float>(i);
    float sum = 0;
    for (std::size_t i = 0; i < kScratch; i++) sum += scratch[i];
    expect(sum == static_cast<float>(item) * static_cast<float>(kScratch) +
                      static_cast<float>(kScratch * (kScratch - 1) / 2),
           "a scratch has one thread");
    counts_[static_cast<std::size_t>(item)]++;
  }

  bool all_are(int times) const {
    for (const int count : counts_) {
      if (count != times) return false;
    }
    return true;
  }

 private:
  mutable std::vector<int> counts_;
};

}  // namespace

int main(int argc, char** argv) {
  const unsigned long seed = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 50;
  std::mt19937 random(static_cast<unsigned>(seed));
  for (int round = 0; round < rounds; round++) {
    const int threads = 1 + static_cast<int>(random() % 6);
    Pool pool(threads);
    std::vector<Floats> scratches;
    for (int i = 0; i < pool.threads(); i++) scratches.push_back(cleric::cpu::allocate(kScratch));
    std::vector<std::unique_ptr<Counting>> steps;
    for (int i = 0; i < 4; i++) steps.push_back(std::make_unique<Counting>(static_cast<int>(random() % 40)));
    const int times = 1 + static_cast<int>(random() % 30);
    for (int i = 0; i < times; i++) {
      for (const auto& step : steps) pool.run(*step, scratches);
      // Long enough for threads to go to sleep.
      if (i % 10 == 9) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    for (const auto& step : steps) expect(step->all_are(times), "every item is run once a run");
  }
  std::printf("pool_test passed: %d rounds, seed %lu\n", rounds, seed);
}
