#include "entropy/packed_weights.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <string>
#include <thread>

namespace cleric::rans {

namespace {

/// The table of each value.
std::vector<uint8_t> table_numbers(const PackedWeights& weights, size_t count, const Tables& tables) {
  std::vector<uint8_t> numbers(count);
  const uint8_t* row = weights.rows.data();
  const uint8_t* column = weights.columns.data();
  uint8_t* at = numbers.data();
  const size_t most = std::min<size_t>(tables.count(), size_t{std::numeric_limits<uint8_t>::max()} + 1);
  for (const PackedTensor& tensor : weights.tensors) {
    // Else millions of rows and columns without values would take forever.
    for (size_t r = 0; r < tensor.rows && tensor.rest > 0; r++) {
      for (size_t c = 0; c < tensor.columns; c++) {
        const size_t number = size_t{row[r]} + column[c];
        if (number >= most) throw CorruptStream("there is no table " + std::to_string(number));
        at = std::fill_n(at, tensor.rest, static_cast<uint8_t>(number));
      }
    }
    row += tensor.rows;
    column += tensor.columns;
  }
  return numbers;
}

/// Where each stream begins, and where the last one ends.
std::vector<size_t> stream_bounds(const PackedWeights& weights, size_t count) {
  const size_t streams = (count + weights.values_a_stream - 1) / weights.values_a_stream;
  if (weights.lengths.size() != streams) throw CorruptStream("there are more or fewer streams than the values need");
  std::vector<size_t> bounds = {0};
  for (const int32_t length : weights.lengths) {
    if (length < 0 || static_cast<size_t>(length) > weights.streams.size() - bounds.back()) {
      throw CorruptStream("a stream reaches beyond the others");
    }
    bounds.push_back(bounds.back() + static_cast<size_t>(length));
  }
  if (bounds.back() != weights.streams.size()) throw CorruptStream("bytes are left over");
  return bounds;
}

}  // namespace

size_t count_values(const PackedWeights& weights, size_t most) {
  size_t rows = 0, columns = 0, count = 0;
  for (const PackedTensor& tensor : weights.tensors) {
    // Subtractions, as sums and products of hostile numbers might overflow.
    if (tensor.rows > weights.rows.size() - rows || tensor.columns > weights.columns.size() - columns) {
      throw CorruptStream("there are fewer levels than rows or columns");
    }
    rows += tensor.rows;
    columns += tensor.columns;
    size_t values = most - count;
    for (const size_t side : {tensor.rows, tensor.columns, tensor.rest}) values = side == 0 ? values : values / side;
    const bool is_empty = tensor.rows == 0 || tensor.columns == 0 || tensor.rest == 0;
    if (!is_empty && values == 0) throw CorruptStream("there are more values than the streams have room for");
    count += tensor.rows * tensor.columns * (is_empty ? 0 : tensor.rest);
  }
  if (rows != weights.rows.size() || columns != weights.columns.size()) {
    throw CorruptStream("there are more levels than rows and columns");
  }
  return count;
}

void decode(const PackedWeights& weights, const Tables& tables, unsigned threads, int16_t* values) {
  const size_t count = count_values(weights, std::numeric_limits<size_t>::max());
  const std::vector<size_t> bounds = stream_bounds(weights, count);
  const std::vector<uint8_t> numbers = table_numbers(weights, count, tables);

  const size_t streams = weights.lengths.size();
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (size_t stream; (stream = next.fetch_add(2)) < streams;) {
        const auto decoder_of = [&](size_t n) {
          return Decoder(weights.streams.data() + bounds[n], bounds[n + 1] - bounds[n]);
        };
        const size_t begin = stream * weights.values_a_stream;
        const size_t middle = std::min(begin + weights.values_a_stream, count);
        const size_t end = std::min(middle + weights.values_a_stream, count);
        Decoder decoder = decoder_of(stream);
        if (stream + 1 < streams) {
          Decoder other = decoder_of(stream + 1);
          decode_side_by_side(decoder, other, numbers.data() + begin, numbers.data() + middle, end - middle, tables,
                              values + begin, values + middle);
          other.finish();
        }
        const size_t done = begin + (end - middle);
        decoder.decode(numbers.data() + done, middle - done, tables, values + done);
        decoder.finish();
      }
    } catch (...) {
      next = streams;
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  for (unsigned n = 1; n < threads; n++) {
    try {
      others.emplace_back(work);
    } catch (const std::system_error&) {
      break;  // The system gives no more threads: those that there are do the work.
    }
  }
  work();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cleric::rans
