// Runs a target without libFuzzer, for compilers that have none: some inputs that are nothing but noise, then changes of
// those. `PROGRAM EXECUTIONS [SEED]`; prints what it did. A sanitizer, or `expect`, ends it at the first finding.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length);

namespace {

using Bytes = std::vector<uint8_t>;

Bytes changed(Bytes bytes, std::mt19937_64& random) {
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  for (size_t changes = 1 + below(6); changes > 0 && !bytes.empty(); changes--) {
    const size_t at = below(bytes.size());
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(6)) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        bytes[at] = static_cast<uint8_t>(random());
        break;
      case 2:
        bytes[at] = random() % 2 == 0 ? 0 : 255;
        break;
      case 3:
        bytes.insert(place, static_cast<uint8_t>(random()));
        break;
      case 4:
        bytes.erase(place);
        break;
      default:
        bytes.resize(at);
        break;
    }
  }
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  const long executions = count > 1 ? std::atol(arguments[1]) : 10000;
  const long seed = count > 2 ? std::atol(arguments[2]) : 1;
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  std::vector<Bytes> inputs(64);
  for (size_t i = 0; i < inputs.size(); i++) {
    // Half of them of small numbers, which make sense more often.
    inputs[i].resize(4 * i);
    for (uint8_t& byte : inputs[i]) byte = static_cast<uint8_t>(random() % (i % 2 == 0 ? 256 : 4));
  }
  const auto started = std::chrono::steady_clock::now();
  double slowest = 0;
  for (long done = 0; done < executions; done++) {
    const Bytes input = changed(inputs[random() % inputs.size()], random);
    const auto before = std::chrono::steady_clock::now();
    LLVMFuzzerTestOneInput(input.data(), input.size());
    slowest = std::max(slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count());
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf("%ld executions in %.1f s, slowest %.1f ms, seed %ld\n", executions, seconds, 1000 * slowest, seed);
}
