// The packed weights of a model file: many rANS streams of one sequence of values, decoded by several threads.
// docs/model-format.md specifies them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "entropy/rans.h"

namespace cleric::rans {

/// A tensor's values, all those of a row and a column one after the other.
struct PackedTensor {
  size_t rows;
  size_t columns;
  size_t rest;
};

struct PackedWeights {
  std::vector<PackedTensor> tensors;
  /// Levels of all tensors' rows, and of all their columns: a value's table is the sum of the two.
  std::vector<uint8_t> rows, columns;
  /// The streams end to end, and their lengths in bytes. Each has `values_a_stream` values, the last one what is left.
  std::vector<uint8_t> streams;
  std::vector<int32_t> lengths;
  size_t values_a_stream;
};

/// How many values there are. Throws CorruptStream if levels and tensors don't agree, or if they are more than `most`.
size_t count_values(const PackedWeights& weights, size_t most);

/// Writes all values, `count_values` of them, tensor after tensor. Throws CorruptStream where anything doesn't agree with
/// the rest.
void decode(const PackedWeights& weights, const Tables& tables, unsigned threads, int16_t* values);

}  // namespace cleric::rans
