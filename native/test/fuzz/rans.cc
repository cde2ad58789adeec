// The entropy coder: any stream, any numbers of tables, with tables of every shape. What it takes for sound must be what
// the encoder makes of the same symbols.

#include "entropy/rans.h"

#include "test/fuzz/input.h"

namespace {

using cleric::rans::CorruptStream;
using cleric::rans::Decoder;
using cleric::rans::Encoder;
using cleric::rans::Tables;

constexpr int32_t kSlots = 65536;

struct Source {
  std::vector<int32_t> values, offset, size, min;

  void add(const std::vector<int32_t>& freqs, int32_t first) {
    offset.push_back(static_cast<int32_t>(values.size()));
    size.push_back(static_cast<int32_t>(freqs.size()));
    min.push_back(first);
    int32_t sum = 0;
    values.push_back(0);
    for (const int32_t freq : freqs) values.push_back(sum += freq);
  }
};

/// Nothing but the escape; two halves; one symbol that has nearly all; many equal ones; as many as there can be; and
/// those whose escapes reach the ends of int16.
const Tables& tables() {
  static const Tables made = [] {
    Source source;
    source.add({kSlots}, 0);
    source.add({kSlots / 2, kSlots / 2}, -1);
    source.add({1, kSlots - 2, 1}, -1);
    source.add(std::vector<int32_t>(256, 256), -128);
    source.add(std::vector<int32_t>(kSlots, 1), -32768);
    source.add({kSlots - 1, 1}, 32767);
    source.add({kSlots - 1, 1}, -32768);
    return Tables(source.values.data(), source.values.size(), source.offset.data(), source.size.data(),
                  source.min.data(), source.offset.size());
  }();
  return made;
}

/// As many numbers of tables as wanted, one of which may be of no table.
std::vector<uint8_t> indexes_of(fuzz::Input& input, size_t count) {
  const auto first = input.next<uint8_t>();
  const auto step = input.next<uint8_t>();
  std::vector<uint8_t> indexes(count);
  for (size_t i = 0; i < count; i++) indexes[i] = static_cast<uint8_t>((first + i * step) % tables().count());
  const auto wrong = input.next<uint16_t>();
  if (wrong < count) indexes[wrong] = 255;
  return indexes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  fuzz::Input input(bytes, length);
  const size_t count = input.next<uint16_t>() % 1024;
  const std::vector<uint8_t> indexes = indexes_of(input, count);
  const bool are_two = input.next<uint8_t>() % 2 == 1;
  const std::vector<uint8_t> first = input.list<uint8_t>(are_two ? input.left() / 2 : input.left());
  const std::vector<uint8_t> second = input.rest();
  std::vector<int16_t> symbols(count), others(count);
  try {
    Decoder decoder(first.data(), first.size());
    if (are_two) {
      Decoder other(second.data(), second.size());
      decode_side_by_side(decoder, other, indexes.data(), indexes.data(), count, tables(), symbols.data(),
                          others.data());
      other.finish();
    } else {
      // Also in two calls, of either type of numbers.
      const size_t half = count / 2;
      decoder.decode(indexes.data(), half, tables(), symbols.data());
      const std::vector<uint16_t> wide(indexes.begin(), indexes.end());
      decoder.decode(wide.data() + half, count - half, tables(), symbols.data() + half);
    }
    decoder.finish();
  } catch (const CorruptStream&) {
    return 0;
  }
  Encoder encoder;
  encoder.push(symbols.data(), indexes.data(), count, tables());
  fuzz::expect(encoder.finish() == first, "a sound stream is the encoder's");
  return 0;
}
