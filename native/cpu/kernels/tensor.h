// Where a tensor's values lie.
//
// Most tensors are interleaved (height x width x channels): the channels of a
// pixel are contiguous and padded to kLanes, so that a vector register never
// straddles two pixels, and a convolution reads its input where it lies. A border
// of zeros, as wide as the widest padding of the tensor's readers, stands round
// it; it is zeroed once, when the graph is compiled, and never written again.
//
// The three colour channels of the lifting are planar instead: padding 3 channels
// to 16 would move five times the memory. The activations of the entropy model are
// 12-bit integers and lie interleaved too, as int16; wider integers (latents, scales
// and means) are floats that hold integers.
#pragma once

#include <cstddef>
#include <cstdint>

// Inline functions in headers that kernels include must really be inlined: see simd.h.
#if defined(__GNUC__)
#define CLERIC_INLINE inline __attribute__((always_inline))
#else
#define CLERIC_INLINE inline
#endif

namespace cleric::cpu {

/// Channels are padded to a multiple of this on every instruction set: one AVX-512
/// register. Sums over channels run in this many lanes everywhere, so that their
/// order doesn't depend on the width of a register.
constexpr int kLanes = 16;

CLERIC_INLINE constexpr int padded(int count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

/// Where a tensor's elements lie; strides count elements.
template <typename Element>
struct BasicView {
  /// Channel 0 of pixel (0, 0), inside the border; null for no tensor.
  Element* data = nullptr;
  int channels = 0;
  int height = 0;
  int width = 0;
  std::ptrdiff_t row = 0;
  std::ptrdiff_t pixel = 0;
  /// 1: interleaved, `pixel` is the padded number of channels. Else planar, `pixel` is 1.
  std::ptrdiff_t channel = 0;

  CLERIC_INLINE bool planar() const { return channel != 1; }
  CLERIC_INLINE Element* at(std::ptrdiff_t y, std::ptrdiff_t x) const { return data + y * row + x * pixel; }
};

/// Any values; integers up to 2^24 are exact.
using View = BasicView<float>;
/// Activations of the entropy model, 12 bits; always interleaved.
using IntegerView = BasicView<int16_t>;

/// Integers of either kind; one of the two views is null, or both.
struct MixedView {
  View wide;
  IntegerView narrow;

  CLERIC_INLINE bool empty() const { return !wide.data && !narrow.data; }
};

}  // namespace cleric::cpu
