// Zeroed, aligned memory for activations, weights and scratch.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

namespace cleric::cpu {

struct Free {
  void operator()(float* data) const { ::operator delete[](data, std::align_val_t{64}); }
};

/// Floats on a cache line's boundary.
using Floats = std::unique_ptr<float[], Free>;

/// Vectors may read this far past the end of a tensor, never write.
constexpr std::size_t kSlack = 64;

/// @throws std::bad_alloc
inline Floats allocate(std::size_t count) {
  const std::size_t bytes = (count + kSlack) * sizeof(float);
  auto* data = static_cast<float*>(::operator new[](bytes, std::align_val_t{64}));
  std::memset(data, 0, bytes);
  return Floats(data);
}

}  // namespace cleric::cpu
