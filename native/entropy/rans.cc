#include "entropy/rans.h"

#include <algorithm>
#include <limits>
#include <string>

namespace cleric::rans {

namespace {

constexpr int32_t kSymbolMin = std::numeric_limits<int16_t>::min();
constexpr int32_t kSymbolMax = std::numeric_limits<int16_t>::max();
constexpr uint32_t kMaxSuffixBits = 16;
constexpr Range kBit[2] = {{0, kSlots / 2 - 1}, {kSlots / 2, kSlots / 2 - 1}};

[[noreturn]] void bad_table(size_t table, const std::string& what) {
  throw BadTables("CDF table " + std::to_string(table) + ": " + what);
}

}  // namespace

Tables::Tables(const int32_t* values, size_t value_count, const int32_t* offset, const int32_t* size,
               const int32_t* min, size_t table_count) {
  if (table_count == 0 || table_count > kSlots) {
    throw BadTables("Expected 1 to 65536 CDF tables but there are " + std::to_string(table_count));
  }
  tables_.reserve(table_count);
  bucket_.reserve(table_count * (kBuckets + 1));
  for (size_t t = 0; t < table_count; t++) {
    if (size[t] < 1 || size[t] > static_cast<int32_t>(kSlots)) {
      bad_table(t, "size " + std::to_string(size[t]) + " is not in 1 .. 65536");
    }
    const auto symbols = static_cast<size_t>(size[t]);
    if (offset[t] < 0 || static_cast<size_t>(offset[t]) + symbols + 1 > value_count) {
      bad_table(t, "its values lie outside the array of values");
    }
    if (min[t] < kSymbolMin || min[t] > kSymbolMax - size[t] + 2) {
      bad_table(t, "it codes values outside int16");
    }
    const int32_t* cdf = values + offset[t];
    if (cdf[0] != 0 || cdf[symbols] != static_cast<int32_t>(kSlots)) {
      bad_table(t, "it does not run from 0 to 65536");
    }
    const size_t first = ranges_.size();
    if (first + symbols > std::numeric_limits<uint32_t>::max()) bad_table(t, "too many symbols");
    // Else a small array of values could stand for gigabytes of tables.
    if (first + symbols + t + 1 > value_count) bad_table(t, "it shares values with others");
    tables_.push_back({static_cast<uint32_t>(first), size[t] - 1, min[t]});
    for (size_t s = 0; s < symbols; s++) {
      // Checked before the subtraction: hostile values must not overflow it.
      if (cdf[s] < 0 || cdf[s + 1] > static_cast<int32_t>(kSlots) || cdf[s + 1] <= cdf[s]) {
        bad_table(t, "symbol " + std::to_string(s) + " has no frequency of at least 1");
      }
      ranges_.push_back({static_cast<uint16_t>(cdf[s]), static_cast<uint16_t>(cdf[s + 1] - cdf[s] - 1)});
    }
    size_t owner = 0;
    for (uint32_t bucket = 0; bucket < kBuckets; bucket++) {
      while (cdf[owner + 1] <= static_cast<int32_t>(bucket << kBucketShift)) owner++;
      bucket_.push_back(static_cast<uint16_t>(owner));
    }
    bucket_.push_back(static_cast<uint16_t>(symbols - 1));
  }
}

int32_t Tables::find(size_t index, uint32_t slot) const {
  const uint16_t* bucket = &bucket_[index * (kBuckets + 1) + (slot >> kBucketShift)];
  const Range* range = &ranges_[tables_[index].first];
  uint32_t low = bucket[0];   // starts at or before slot
  uint32_t high = bucket[1];  // the last candidate
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (range[middle].start <= slot) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  // One or two symbols are left; a branch between them would be mispredicted too often.
  return static_cast<int32_t>(range[high].start <= slot ? high : low);
}

template <typename Index>
void Encoder::push(const int16_t* symbols, const Index* indexes, size_t count, const Tables& tables) {
  const size_t before = steps_.size();
  // Not to before + count exactly: many short runs would copy the buffer each time.
  if (steps_.capacity() < before + count) steps_.reserve(std::max(before + count, 2 * steps_.capacity()));
  for (size_t i = 0; i < count; i++) {
    const size_t index = indexes[i];
    if (index >= tables.count()) {
      steps_.resize(before);
      throw BadTables("Table index " + std::to_string(index) + " at " + std::to_string(i) + " but there are " +
                      std::to_string(tables.count()) + " tables");
    }
    const Tables::Table& table = tables.table(index);
    const int32_t value = symbols[i];
    const int32_t symbol = value - table.min;
    if (symbol >= 0 && symbol < table.escape) {
      steps_.push_back(tables.range(table, symbol));
    } else {
      steps_.push_back(tables.range(table, table.escape));
      push_outlier(value, table);
    }
  }
}

void Encoder::push_outlier(int32_t value, const Tables::Table& table) {
  const bool below = value < table.min;
  const int32_t beyond = below ? table.min - 1 - value : value - (table.min + table.escape);
  const uint32_t code = static_cast<uint32_t>(beyond) + 1;
  uint32_t suffix_bits = 0;
  while (code >> (suffix_bits + 1) != 0) suffix_bits++;
  push_bit(below ? 1 : 0);
  for (uint32_t i = 0; i < suffix_bits; i++) push_bit(0);
  push_bit(1);
  for (uint32_t i = suffix_bits; i-- > 0;) push_bit((code >> i) & 1);
}

void Encoder::push_bit(uint32_t bit) {
  steps_.push_back(kBit[bit]);
}

std::vector<uint8_t> Encoder::finish() {
  // The stream back to front: bytes as they are made, then the state.
  std::vector<uint8_t> bytes;
  bytes.reserve(steps_.size() / 2 + kStateBytes);
  uint32_t state = kLowerBound;
  for (size_t i = steps_.size(); i-- > 0;) {
    const uint32_t freq = steps_[i].freq();
    // state >= freq << 16, written so that freq = 65536 doesn't overflow.
    while (state >> 16 >= freq) {
      bytes.push_back(static_cast<uint8_t>(state));
      state >>= 8;
    }
    state = ((state / freq) << kProbabilityBits) + steps_[i].start + state % freq;
  }
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(state >> shift));
  std::reverse(bytes.begin(), bytes.end());
  std::vector<Range>().swap(steps_);
  return bytes;
}

Decoder::Decoder(const uint8_t* bytes, size_t length) {
  if (length < kStateBytes) throw CorruptStream("it is shorter than the coder's state");
  bytes_.assign(bytes, bytes + length);
  for (size_t i = kStateBytes; i-- > 0;) state_ = state_ << 8 | bytes_[i];
  if (state_ < kLowerBound) throw CorruptStream("its first state is out of range");
}

void Decoder::fail(const char* reason) {
  failed_ = true;
  throw CorruptStream(reason);
}

inline void Decoder::advance(const Range& range, uint32_t slot) {
  state_ = range.freq() * (state_ >> kProbabilityBits) + slot - range.start;
  if (bytes_.size() - next_ >= 2) {
    // How many bytes are wanted, none to two, is as good as random: a branch would be mispredicted half of the time.
    const unsigned wanted = (state_ < kLowerBound ? 1u : 0u) + (state_ < kLowerBound >> 8 ? 1u : 0u);
    const uint32_t two = uint32_t{bytes_[next_]} << 8 | bytes_[next_ + 1];
    state_ = state_ << (8 * wanted) | two >> (16 - 8 * wanted);
    next_ += wanted;
    return;
  }
  while (state_ < kLowerBound) {
    if (next_ == bytes_.size()) fail("it ends too early");
    state_ = state_ << 8 | bytes_[next_++];
  }
}

uint32_t Decoder::read_bit() {
  const uint32_t slot = state_ & (kSlots - 1);
  const uint32_t bit = slot >> (kProbabilityBits - 1);
  advance(kBit[bit], slot);
  return bit;
}

int16_t Decoder::read_outlier(const Tables::Table& table) {
  const bool below = read_bit() != 0;
  uint32_t suffix_bits = 0;
  while (read_bit() == 0) {
    if (++suffix_bits > kMaxSuffixBits) fail("an escape code is too long");
  }
  uint32_t code = 1;
  for (uint32_t i = 0; i < suffix_bits; i++) code = code << 1 | read_bit();
  const auto beyond = static_cast<int32_t>(code - 1);
  const int32_t value = below ? table.min - 1 - beyond : table.min + table.escape + beyond;
  if (value < kSymbolMin || value > kSymbolMax) fail("an escaped value is outside int16");
  return static_cast<int16_t>(value);
}

inline int16_t Decoder::next(size_t index, const Tables& tables) {
  if (index >= tables.count()) fail("a table index is out of range");
  const Tables::Table& table = tables.table(index);
  const uint32_t slot = state_ & (kSlots - 1);
  const int32_t symbol = tables.find(index, slot);
  advance(tables.range(table, symbol), slot);
  return symbol < table.escape ? static_cast<int16_t>(table.min + symbol) : read_outlier(table);
}

template <typename Index>
void Decoder::decode(const Index* indexes, size_t count, const Tables& tables, int16_t* symbols) {
  if (failed_) throw CorruptStream("an earlier part of it was corrupt");
  for (size_t i = 0; i < count; i++) symbols[i] = next(indexes[i], tables);
}

void decode_side_by_side(Decoder& first, Decoder& second, const uint8_t* first_indexes, const uint8_t* second_indexes,
                         size_t count, const Tables& tables, int16_t* first_symbols, int16_t* second_symbols) {
  for (size_t i = 0; i < count; i++) {
    first_symbols[i] = first.next(first_indexes[i], tables);
    second_symbols[i] = second.next(second_indexes[i], tables);
  }
}

void Decoder::finish() const {
  if (failed_) throw CorruptStream("an earlier part of it was corrupt");
  if (next_ != bytes_.size()) throw CorruptStream("bytes are left over");
  if (state_ != kLowerBound) throw CorruptStream("its last state is wrong");
}

template void Encoder::push(const int16_t*, const uint8_t*, size_t, const Tables&);
template void Encoder::push(const int16_t*, const uint16_t*, size_t, const Tables&);
template void Decoder::decode(const uint8_t*, size_t, const Tables&, int16_t*);
template void Decoder::decode(const uint16_t*, size_t, const Tables&, int16_t*);

}  // namespace cleric::rans
