// The coder without Node: random round trips, the stream's length against the
// ideal of its tables, hostile streams, and packed weights by several threads. `rans_test SEED ROUNDS`; prints what it measured, exits 1 at
// the first failure. scripts/sanitize runs it under the sanitizers.

#include "entropy/rans.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include "entropy/packed_weights.h"

namespace {

using cleric::rans::BadTables;
using cleric::rans::CorruptStream;
using cleric::rans::Decoder;
using cleric::rans::Encoder;
using cleric::rans::PackedWeights;
using cleric::rans::Tables;

using Generator = std::mt19937_64;

void expect(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::exit(1);
}

struct Source {
  std::vector<int32_t> values, offset, size, min;

  void add(const std::vector<int32_t>& freqs, int32_t first_value) {
    offset.push_back(static_cast<int32_t>(values.size()));
    size.push_back(static_cast<int32_t>(freqs.size()));
    min.push_back(first_value);
    int32_t sum = 0;
    values.push_back(0);
    for (const int32_t freq : freqs) values.push_back(sum += freq);
  }

  Tables tables() const {
    return Tables(values.data(), values.size(), offset.data(), size.data(), min.data(), offset.size());
  }
};

int32_t uniform(Generator& generator, int32_t low, int32_t high) {
  return std::uniform_int_distribution<int32_t>(low, high)(generator);
}

// Zero-mean Gaussians at the 64 scales of the model, cut at 4.8 sigma.
std::vector<double> gaussian_scales() {
  std::vector<double> scales;
  for (int t = 0; t < 64; t++) scales.push_back(std::exp(std::log(0.11) + t * std::log(256 / 0.11) / 63));
  return scales;
}

Source gaussian_tables() {
  Source source;
  for (const double scale : gaussian_scales()) {
    const auto reach = static_cast<int32_t>(std::ceil(scale * 4.8));
    const int32_t count = 2 * reach + 2;
    std::vector<int32_t> freqs;
    int32_t rest = 65536;
    for (int32_t v = -reach; v <= reach; v++) {
      const double p = 0.5 * (std::erf((v + 0.5) / scale / std::sqrt(2)) - std::erf((v - 0.5) / scale / std::sqrt(2)));
      freqs.push_back(std::max(1, static_cast<int32_t>(std::lround(p * (65536 - count)))));
      rest -= freqs.back();
    }
    freqs.push_back(1);
    freqs[static_cast<size_t>(reach)] += rest - 1;
    source.add(freqs, -reach);
  }
  return source;
}

Source random_tables(Generator& generator) {
  Source source;
  for (int32_t t = uniform(generator, 1, 5); t > 0; t--) {
    const int32_t limit = uniform(generator, 0, 3) == 0 ? 65536 : 40;
    const int32_t count = uniform(generator, 1, limit);
    std::vector<int32_t> freqs(static_cast<size_t>(count), 1);
    // The rest in a few lumps: mostly very uneven tables.
    int32_t rest = 65536 - count;
    while (rest > 0) {
      const int32_t lump = uniform(generator, 1, rest);
      freqs[static_cast<size_t>(uniform(generator, 0, count - 1))] += lump;
      rest -= lump;
    }
    source.add(freqs, uniform(generator, -32768, 32767 - count + 2));
  }
  return source;
}

struct Run {
  std::vector<int16_t> symbols;
  std::vector<uint16_t> indexes;
};

Run random_run(Generator& generator, const Tables& tables, int32_t length) {
  Run run;
  for (int32_t i = 0; i < length; i++) {
    const int32_t index = uniform(generator, 0, static_cast<int32_t>(tables.count()) - 1);
    const Tables::Table& table = tables.table(static_cast<size_t>(index));
    const int32_t kind = uniform(generator, 0, 9);
    int32_t value = table.min + uniform(generator, -3, table.escape + 2);
    if (kind == 0) value = uniform(generator, -32768, 32767);
    if (kind == 1) value = uniform(generator, 0, 1) ? -32768 : 32767;
    run.symbols.push_back(static_cast<int16_t>(std::clamp(value, -32768, 32767)));
    run.indexes.push_back(static_cast<uint16_t>(index));
  }
  return run;
}

// The information of the run in bits, escapes and bypass bits included.
double ideal_bits(const Run& run, const Tables& tables) {
  double bits = 0;
  for (size_t i = 0; i < run.symbols.size(); i++) {
    const Tables::Table& table = tables.table(run.indexes[i]);
    int32_t symbol = run.symbols[i] - table.min;
    if (symbol < 0 || symbol >= table.escape) {
      const int32_t beyond = symbol < 0 ? -1 - symbol : symbol - table.escape;
      bits += 2 + 2 * std::floor(std::log2(beyond + 1));
      symbol = table.escape;
    }
    bits += 16 - std::log2(tables.range(table, symbol).freq());
  }
  return bits;
}

std::vector<uint8_t> encode(const Run& run, const Tables& tables) {
  Encoder encoder;
  encoder.push(run.symbols.data(), run.indexes.data(), run.symbols.size(), tables);
  return encoder.finish();
}

// Decodes in pieces of random length. Returns whether the stream was accepted.
bool decode(Generator& generator, const std::vector<uint8_t>& bytes, const Run& run, const Tables& tables,
            std::vector<int16_t>& symbols) {
  symbols.assign(run.indexes.size(), 0);
  // A heap block of exactly the stream's length, so that the sanitizer sees a read past it.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  try {
    Decoder decoder(exact.data(), exact.size());
    for (size_t at = 0; at < symbols.size();) {
      const size_t rest = symbols.size() - at;
      const auto piece = static_cast<size_t>(uniform(generator, 1, static_cast<int32_t>(rest)));
      decoder.decode(run.indexes.data() + at, piece, tables, symbols.data() + at);
      at += piece;
    }
    decoder.finish();
    return true;
  } catch (const CorruptStream&) {
    return false;
  }
}

void test_round_trips(Generator& generator, int rounds) {
  for (int round = 0; round < rounds; round++) {
    const Tables tables = random_tables(generator).tables();
    const Run run = random_run(generator, tables, uniform(generator, 0, 400));
    const std::vector<uint8_t> bytes = encode(run, tables);
    std::vector<int16_t> symbols;
    expect(decode(generator, bytes, run, tables, symbols) && symbols == run.symbols, "round trip");
    // The state costs 32 bits and can carry 8 more than its start does.
    const double ideal = ideal_bits(run, tables);
    const auto length = static_cast<double>(bytes.size() * 8);
    expect(length <= ideal * 1.003 + 33, "length " + std::to_string(length) + " of ideal " + std::to_string(ideal));
  }
}

void test_hostile(Generator& generator, int rounds) {
  int accepted = 0;
  for (int round = 0; round < rounds; round++) {
    const Tables tables = random_tables(generator).tables();
    const Run run = random_run(generator, tables, uniform(generator, 1, 60));
    const std::vector<uint8_t> bytes = encode(run, tables);
    std::vector<int16_t> symbols;
    for (size_t length = 0; length < bytes.size(); length++) {
      const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
      expect(!decode(generator, cut, run, tables, symbols), "a cut stream was accepted");
    }
    std::vector<uint8_t> longer = bytes;
    longer.push_back(static_cast<uint8_t>(uniform(generator, 0, 255)));
    expect(!decode(generator, longer, run, tables, symbols), "a longer stream was accepted");
    for (int flip = 0; flip < 30; flip++) {
      std::vector<uint8_t> flipped = bytes;
      const int32_t bit = uniform(generator, 0, static_cast<int32_t>(bytes.size()) * 8 - 1);
      flipped[static_cast<size_t>(bit / 8)] ^= static_cast<uint8_t>(1 << bit % 8);
      const bool ok = decode(generator, flipped, run, tables, symbols);
      expect(!ok || symbols != run.symbols, "two streams for one run of symbols");
      accepted += ok;
    }
    std::vector<uint8_t> noise(static_cast<size_t>(uniform(generator, 0, 200)));
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(uniform(generator, 0, 255));
    accepted += decode(generator, noise, run, tables, symbols);
  }
  std::printf("hostile streams: %d of %d accepted (a CRC is what tells those)\n", accepted, rounds * 31);
}

void expect_bad(const Source& source, const char* what) {
  try {
    source.tables();
  } catch (const BadTables&) {
    return;
  }
  expect(false, std::string("bad tables accepted: ") + what);
}

void test_bad_tables() {
  Source good;
  good.add({65535, 1}, 0);
  good.tables();
  const auto broken = [&](auto&& change) {
    Source source = good;
    change(source);
    return source;
  };
  expect_bad(Source{}, "none");
  expect_bad(broken([](Source& s) { s.values[2] = 65535; }), "short of 65536");
  expect_bad(broken([](Source& s) { s.values[0] = 1; }), "doesn't start at 0");
  expect_bad(broken([](Source& s) { s.values[1] = 65536; }), "zero frequency");
  expect_bad(broken([](Source& s) { s.values[1] = -2147483647 - 1; }), "negative");
  expect_bad(broken([](Source& s) { s.values[1] = 2147483647; }), "above 65536");
  expect_bad(broken([](Source& s) { s.offset[0] = 1; }), "past the end");
  expect_bad(broken([](Source& s) { s.offset[0] = -1; }), "before the start");
  expect_bad(broken([](Source& s) { s.offset[0] = 2147483647; }), "far past the end");
  expect_bad(broken([](Source& s) {
               s.offset.push_back(0);
               s.size.push_back(2);
               s.min.push_back(0);
             }),
             "two tables in the same values");
  expect_bad(broken([](Source& s) { s.size[0] = 0; }), "no symbols");
  expect_bad(broken([](Source& s) { s.size[0] = 2147483647; }), "too many symbols");
  expect_bad(broken([](Source& s) { s.min[0] = 32768; }), "values above int16");
  expect_bad(broken([](Source& s) { s.min[0] = -2147483647 - 1; }), "values below int16");
}

// Random weights in several streams come back; whatever is then changed is refused, or gives some values.
void test_packed_weights(Generator& generator, int rounds) {
  for (int round = 0; round < rounds; round++) {
    const Tables tables = random_tables(generator).tables();
    PackedWeights weights;
    weights.values_a_stream = static_cast<size_t>(uniform(generator, 1, 70));
    Run run;
    for (int32_t t = uniform(generator, 0, 4); t > 0; t--) {
      const auto side = [&] { return static_cast<size_t>(uniform(generator, 0, 6)); };
      const cleric::rans::PackedTensor tensor = {side(), side(), side()};
      weights.tensors.push_back(tensor);
      const int32_t most = static_cast<int32_t>(tables.count()) - 1;
      const int32_t row_most = uniform(generator, 0, most);
      const size_t first_row = weights.rows.size(), first_column = weights.columns.size();
      const auto level = [&](int32_t limit) { return static_cast<uint8_t>(uniform(generator, 0, limit)); };
      for (size_t r = 0; r < tensor.rows; r++) weights.rows.push_back(level(row_most));
      for (size_t c = 0; c < tensor.columns; c++) weights.columns.push_back(level(most - row_most));
      const Run values =
          random_run(generator, tables, static_cast<int32_t>(tensor.rows * tensor.columns * tensor.rest));
      for (size_t i = 0; i < values.symbols.size(); i++) {
        const size_t cell = i / tensor.rest;
        run.symbols.push_back(values.symbols[i]);
        run.indexes.push_back(static_cast<uint16_t>(weights.rows[first_row + cell / tensor.columns] +
                                                    weights.columns[first_column + cell % tensor.columns]));
      }
    }
    for (size_t first = 0; first < run.symbols.size(); first += weights.values_a_stream) {
      const size_t count = std::min(weights.values_a_stream, run.symbols.size() - first);
      Encoder encoder;
      encoder.push(run.symbols.data() + first, run.indexes.data() + first, count, tables);
      const std::vector<uint8_t> bytes = encoder.finish();
      weights.streams.insert(weights.streams.end(), bytes.begin(), bytes.end());
      weights.lengths.push_back(static_cast<int32_t>(bytes.size()));
    }
    const auto threads = static_cast<unsigned>(uniform(generator, 1, 4));
    const auto decoded = [&](const PackedWeights& packed, size_t most) {
      std::vector<int16_t> values(cleric::rans::count_values(packed, most));
      cleric::rans::decode(packed, tables, threads, values.data());
      return values;
    };
    expect(decoded(weights, run.symbols.size()) == run.symbols, "packed weights");

    const auto refused = [&](const PackedWeights& bad, size_t most) {
      try {
        decoded(bad, most);
      } catch (const CorruptStream&) {
        return true;
      }
      return false;
    };
    if (run.symbols.empty()) continue;
    expect(refused(weights, run.symbols.size() - 1), "more values than allowed");
    PackedWeights bad = weights;
    bad.tensors.push_back({1, 0, 1});
    expect(refused(bad, run.symbols.size()), "fewer levels than rows");
    bad = weights;
    bad.rows.push_back(0);
    expect(refused(bad, run.symbols.size()), "more levels than rows");
    bad = weights;
    bad.lengths.push_back(0);
    expect(refused(bad, run.symbols.size()), "more streams than values");
    bad = weights;
    bad.lengths[0] = uniform(generator, 0, 1) ? -1 : std::numeric_limits<int32_t>::max();
    expect(refused(bad, run.symbols.size()), "impossible lengths");
    bad = weights;
    for (size_t* side : {&bad.tensors[0].rows, &bad.tensors[0].columns, &bad.tensors[0].rest}) {
      if (uniform(generator, 0, 1)) *side = std::numeric_limits<size_t>::max() / 3;
    }
    bad.streams[static_cast<size_t>(uniform(generator, 0, static_cast<int32_t>(bad.streams.size()) - 1))] ^= 4;
    refused(bad, run.symbols.size());
  }
}

// The model's tables at full size: overhead and speed.
void measure(Generator& generator) {
  const Tables tables = gaussian_tables().tables();
  const std::vector<double> scales = gaussian_scales();
  constexpr struct {
    const char* name;
    int32_t low, high;
  } kCases[] = {{"scales 0.11 .. 0.38", 0, 10}, {"scales 0.43 .. 4.4", 11, 30}, {"scales 0.11 .. 256", 0, 63}};
  for (const auto& range : kCases) {
    Run run;
    for (int i = 0; i < 1 << 20; i++) {
      const int32_t index = uniform(generator, range.low, range.high);
      std::normal_distribution<double> normal(0, scales[static_cast<size_t>(index)]);
      run.indexes.push_back(static_cast<uint16_t>(index));
      run.symbols.push_back(static_cast<int16_t>(std::lround(normal(generator))));
    }
    using Clock = std::chrono::steady_clock;
    std::vector<uint8_t> bytes;
    std::vector<int16_t> symbols(run.symbols.size());
    double encode_seconds = 1e9;
    double decode_seconds = 1e9;
    for (int repeat = 0; repeat < 5; repeat++) {
      const auto start = Clock::now();
      bytes = encode(run, tables);
      const auto middle = Clock::now();
      Decoder decoder(bytes.data(), bytes.size());
      decoder.decode(run.indexes.data(), run.indexes.size(), tables, symbols.data());
      decoder.finish();
      const std::chrono::duration<double> encoding = middle - start;
      const std::chrono::duration<double> decoding = Clock::now() - middle;
      encode_seconds = std::min(encode_seconds, encoding.count());
      decode_seconds = std::min(decode_seconds, decoding.count());
    }
    expect(symbols == run.symbols, "round trip of the model's tables");
    const double ideal = ideal_bits(run, tables);
    const double overhead = static_cast<double>(bytes.size() * 8) / ideal - 1;
    const double millions = static_cast<double>(symbols.size()) / 1e6;
    std::printf("%-20s %.3f bits a symbol, overhead %.4f %%, encode %.0f, decode %.0f Msymbols/s\n", range.name,
                ideal / static_cast<double>(symbols.size()), overhead * 100, millions / encode_seconds,
                millions / decode_seconds);
    // The state's own 24 to 32 bits aside.
    expect(static_cast<double>(bytes.size() * 8) <= ideal * 1.0001 + 32, "overhead");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const unsigned long seed = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : std::random_device()();
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 200;
  std::printf("rans_test %lu %d\n", seed, rounds);
  Generator generator(seed);
  test_bad_tables();
  test_round_trips(generator, rounds);
  test_hostile(generator, rounds);
  test_packed_weights(generator, rounds);
  measure(generator);
  std::printf("rans_test passed\n");
}
