// What a fuzzer gives, taken as numbers, piece by piece. It never ends: beyond the last byte everything is zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace fuzz {

class Input {
 public:
  Input(const uint8_t* bytes, size_t length) : at_(bytes), end_(bytes + length) {}

  template <typename T>
  T next() {
    T value{};
    const size_t length = std::min(sizeof(T), left());
    if (length > 0) std::memcpy(&value, at_, length);
    at_ += length;
    return value;
  }

  template <typename T>
  std::vector<T> list(size_t count) {
    std::vector<T> values(std::min(count, left() / sizeof(T)));
    if (!values.empty()) std::memcpy(values.data(), at_, values.size() * sizeof(T));
    at_ += values.size() * sizeof(T);
    return values;
  }

  std::vector<uint8_t> rest() { return list<uint8_t>(left()); }
  size_t left() const { return static_cast<size_t>(end_ - at_); }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

/// Ends the run, as a crash does, where something that always holds doesn't.
inline void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}

}  // namespace fuzz
