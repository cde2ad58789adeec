// rANS entropy coder for the latents of a tile: 32-bit state, 16-bit
// frequencies, bytes, an escape with bypass bits for outliers.
//
// After Duda's "Asymmetric numeral systems" (arXiv:1311.2540) and the usual
// range variant of it. One coder, one state, no interleaving: the network in
// front of it costs thousands of times more than a symbol does here.
//
// No JavaScript in this file: native/node/rans_binding.cc is the edge. Everything
// here may be fed hostile bytes, see "What the decoder promises".
//
// ## The state
//
// The coder's whole memory is one integer x in [2^24, 2^32). A symbol owns the
// slots [start, start + freq) of the 65536 slots of its table. Coding it maps
//
//   encode:  x -> (x / freq) * 65536 + start + x % freq
//   decode:  slot = x % 65536, symbol = the owner of slot,
//            x -> freq * (x / 65536) + slot - start
//
// which are exact inverses. Encoding makes x larger by the factor
// 65536 / freq, that is by log2(65536 / freq) bits: the symbol's information.
// What would overflow goes out, a byte at a time:
//
//   encode:  while x >= freq * 2^16: emit x % 2^8, x -> x / 2^8
//   decode:  while x < 2^24:         x -> x * 2^8 + next byte
//
// Neither loop runs more than twice. Encoding: x < 2^32, so after two rounds
// x < 2^16 <= freq * 2^16. Decoding: x >= 2^24 before the symbol, so at least
// freq * 2^8 >= 2^8 after it, and two bytes lift that to 2^24.
//
// ## The order
//
// A stack, not a queue: the decoder meets the symbols in the opposite order.
// So that a decoder can run forwards (it must: the tables of later symbols
// depend on earlier symbols), the encoder buffers its symbols and codes them
// last to first, writing its bytes from the end of the stream to its front.
//
// ## The stream
//
//   byte 0 .. 3   the encoder's final state, a little-endian u32
//   byte 4 ..     the bytes in the order in which the decoder wants them
//
// There is no length, no count and no magic: the container knows the number of
// bytes, and the decoder is told which tables to use. The encoder starts at
// x = 2^24, so a decoder that has seen every symbol must be back at 2^24 with
// no byte left; `Decoder::finish` checks both. An empty run is 4 bytes.
//
// ## The escape
//
// A table codes the values min .. min + size - 2, one symbol each; the last
// symbol is the escape. After it the overshoot is coded in bypass bits, each a
// symbol of frequency 2^15 through the same state:
//
//   sign    1 bit: 0 above the table, 1 below it
//   u       how far beyond the table's end, 0 for the first value outside it,
//           as an Exp-Golomb code of order 0: with u + 1 = 1b...b in binary and
//           n bits after its leading one: n zeros, a one, the n bits, high first
//
// A value is an int16, so u < 2^16 and n <= 16: an outlier costs at most 34
// bits more than its escape symbol. A decoder that meets 17 zeros, or a value
// outside int16, calls the stream corrupt.
//
// ## Precision
//
// x / freq always has at least 8 significant bits, so a symbol's cost is its
// -log2(freq / 65536) almost exactly: native/test/rans_test.cc holds the stream
// to 0.01 % and 3 bytes of it (the state costs 32 bits and carries 24 less than it
// could). 16-bit words would need the lower bound 2^16, leaving x / freq as
// little as one bit: measured 0.14 % longer at 2.6 bits a symbol, and no faster.
//
// ## What the decoder promises
//
// On any bytes and any table indexes: no read outside the stream or the tables,
// at most 35 steps a symbol (two bytes each), and either int16 symbols or `CorruptStream`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace cleric::rans {

/// The bytes are not what an encoder with these tables wrote.
class CorruptStream : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller's tables or indexes make no sense.
class BadTables : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

constexpr size_t kStateBytes = 4;
constexpr uint32_t kProbabilityBits = 16;
constexpr uint32_t kSlots = 1u << kProbabilityBits;
constexpr uint32_t kLowerBound = 1u << 24;  // the least state, and the one that an encoder starts at

/// One symbol's slots. The frequency is stored less one: 65536 must fit.
struct Range {
  uint16_t start;
  uint16_t freq_less_one;

  uint32_t freq() const { return uint32_t{freq_less_one} + 1; }
};

/// A set of checked cumulative tables, read-only after construction.
class Tables {
 public:
  /// `values[offset[t]] .. values[offset[t] + size[t]]` are the cumulative
  /// frequencies of table t: strictly rising from 0 to 65536. `size[t]` counts
  /// the escape, which is the last symbol; `min[t]` is the first symbol's value.
  /// Tables don't share values, so that all of them take memory in proportion to the values.
  /// Throws BadTables for anything else.
  Tables(const int32_t* values, size_t value_count, const int32_t* offset, const int32_t* size, const int32_t* min,
         size_t table_count);

  struct Table {
    uint32_t first;  // of ranges_
    int32_t escape;  // index of the escape symbol = size - 1
    int32_t min;     // value of symbol 0
  };

  size_t count() const { return tables_.size(); }
  const Table& table(size_t index) const { return tables_[index]; }
  const Range& range(const Table& table, int32_t symbol) const {
    return ranges_[table.first + static_cast<uint32_t>(symbol)];
  }

  /// The symbol of table `index` that owns `slot` (< 65536).
  int32_t find(size_t index, uint32_t slot) const;

 private:
  // A table's slots are cut into 1024 buckets; `bucket_[t * 1025 + b]` is the symbol
  // that owns the first slot of bucket b. Most buckets have one owner and are
  // answered without a search; every frequency is at least 1, so the worst has
  // 64 and is answered in 6 steps.
  static constexpr uint32_t kBucketShift = 6;
  static constexpr uint32_t kBuckets = kSlots >> kBucketShift;

  std::vector<Range> ranges_;
  std::vector<Table> tables_;
  std::vector<uint16_t> bucket_;
};

/// Collects symbols in decoding order; `finish` codes them.
class Encoder {
 public:
  /// Appends `count` symbols; symbol i is coded with `tables.table(indexes[i])`.
  /// Throws BadTables, and appends nothing, if an index is out of range.
  template <typename Index>
  void push(const int16_t* symbols, const Index* indexes, size_t count, const Tables& tables);

  /// The stream of everything pushed. The encoder is empty afterwards.
  std::vector<uint8_t> finish();

  /// What the pushed symbols occupy until `finish`, in bytes.
  size_t memory() const { return steps_.capacity() * sizeof(Range); }

 private:
  void push_outlier(int32_t value, const Tables::Table& table);
  void push_bit(uint32_t bit);

  std::vector<Range> steps_;
};

/// Reads one stream, in as many calls as the caller likes.
class Decoder {
 public:
  /// Copies the bytes. Throws CorruptStream if there can be no state in them.
  Decoder(const uint8_t* bytes, size_t length);

  /// Decodes `count` symbols, symbol i with `tables.table(indexes[i])`.
  /// Throws CorruptStream; the decoder is good for nothing afterwards and
  /// every later call throws too.
  template <typename Index>
  void decode(const Index* indexes, size_t count, const Tables& tables, int16_t* symbols);

  /// Throws CorruptStream unless the stream ends exactly here.
  void finish() const;

  /// What the copy of the stream occupies, in bytes.
  size_t memory() const { return bytes_.capacity(); }

 private:
  friend void decode_side_by_side(Decoder& first, Decoder& second, const uint8_t* first_indexes,
                                  const uint8_t* second_indexes, size_t count, const Tables& tables,
                                  int16_t* first_symbols, int16_t* second_symbols);

  int16_t next(size_t index, const Tables& tables);
  void advance(const Range& range, uint32_t slot);
  uint32_t read_bit();
  int16_t read_outlier(const Tables::Table& table);
  [[noreturn]] void fail(const char* reason);

  std::vector<uint8_t> bytes_;
  size_t next_ = kStateBytes;
  uint32_t state_ = 0;
  bool failed_ = false;
};

/// The next `count` symbols of each of two streams. It takes less time than one after the other: a step of a stream waits
/// for the one before it, but not for those of another.
void decode_side_by_side(Decoder& first, Decoder& second, const uint8_t* first_indexes, const uint8_t* second_indexes,
                         size_t count, const Tables& tables, int16_t* first_symbols, int16_t* second_symbols);

}  // namespace cleric::rans
