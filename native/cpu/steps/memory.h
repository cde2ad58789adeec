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
  template <typename Element>
  void operator()(Element* data) const {
    ::operator delete[](data, std::align_val_t{64});
  }
};

/// An array of plain values that begins with a cache line.
template <typename Element>
using Array = std::unique_ptr<Element[], Free>;
using Floats = Array<float>;

/// Vectors may read this many bytes past the end of a tensor, never write.
constexpr std::size_t kSlack = 256;

/// @throws std::bad_alloc
template <typename Element = float>
Array<Element> allocate(std::size_t count) {
  const std::size_t bytes = count * sizeof(Element) + kSlack;
  void* const data = ::operator new[](bytes, std::align_val_t{64});
  std::memset(data, 0, bytes);
  return Array<Element>(static_cast<Element*>(data));
}

}  // namespace cleric::cpu
