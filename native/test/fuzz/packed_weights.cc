// The packed weights of a model file: any shapes, levels, lengths and streams.

#include "entropy/packed_weights.h"

#include "test/fuzz/input.h"

namespace {

/// More than what fits into the streams of an input is refused before memory is taken for it; this is the most here.
constexpr size_t kMostValues = 1 << 16;

const cleric::rans::Tables& tables() {
  static const cleric::rans::Tables made = [] {
    const int32_t values[] = {0, 32768, 65536, 0, 65000, 65400, 65536, 0, 65536};
    const int32_t offset[] = {0, 3, 7}, size[] = {2, 3, 1}, min[] = {0, -1, 0};
    return cleric::rans::Tables(values, 9, offset, size, min, 3);
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  fuzz::Input input(bytes, length);
  cleric::rans::PackedWeights weights;
  for (size_t n = input.next<uint8_t>() % 8; n > 0; n--) {
    // Mostly small sides, as large ones are soon refused.
    const auto side = [&] {
      const auto small = input.next<uint8_t>();
      return small == 255 ? static_cast<size_t>(input.next<uint64_t>()) : size_t{small} % 40;
    };
    const size_t rows = side(), columns = side(), rest = side();
    weights.tensors.push_back({rows, columns, rest});
  }
  const auto levels = [&] {
    auto list = input.list<uint8_t>(input.next<uint8_t>());
    for (uint8_t& level : list) level %= 3;
    return list;
  };
  weights.rows = levels();
  weights.columns = levels();
  weights.lengths = input.list<int32_t>(input.next<uint8_t>() % 16);
  weights.values_a_stream = size_t{1} + input.next<uint8_t>();
  const unsigned threads = 1 + input.next<uint8_t>() % 64 / 63;
  weights.streams = input.rest();
  try {
    const size_t count = count_values(weights, kMostValues);
    fuzz::expect(count <= kMostValues, "no more values than allowed");
    std::vector<int16_t> values(count);
    decode(weights, tables(), threads, values.data());
  } catch (const cleric::rans::CorruptStream&) {
  }
  return 0;
}
