// Where a tensor's values lie.
//
// Most tensors are interleaved (height x width x channels): the channels of a
// pixel are contiguous and padded to kLanes, so that a vector register never
// straddles two pixels, and a convolution reads its input where it lies. A border
// of zeros, as wide as the widest padding of the tensor's readers, stands round
// it; it is zeroed once, when the graph is compiled, and never written again.
//
// The three colour channels of the lifting are planar instead: padding 3 channels
// to 16 would move five times the memory.
#pragma once

#include <cstddef>

// Inline functions in headers that kernels include must really be inlined: see simd.h.
#if defined(__GNUC__)
#define CLERIC_INLINE inline __attribute__((always_inline))
#else
#define CLERIC_INLINE inline
#endif

namespace cleric::cpu {

/// Channels are padded to a multiple of this on every instruction set: one AVX-512
/// register. Sums over channels run in this many lanes everywhere, so that their
/// order is the same whatever the width of a register.
constexpr int kLanes = 16;

CLERIC_INLINE constexpr int padded(int count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

/// Strides are in floats.
struct View {
  /// Channel 0 of pixel (0, 0), inside the border; null for no tensor.
  float* data = nullptr;
  int channels = 0;
  int height = 0;
  int width = 0;
  std::ptrdiff_t row = 0;
  std::ptrdiff_t pixel = 0;
  /// 1: interleaved, `pixel` is the padded number of channels. Else planar, `pixel` is 1.
  std::ptrdiff_t channel = 0;

  CLERIC_INLINE bool planar() const { return channel != 1; }
  CLERIC_INLINE float* at(std::ptrdiff_t y, std::ptrdiff_t x) const { return data + y * row + x * pixel; }
};

}  // namespace cleric::cpu
