#include "entropy/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define CLERIC_CRC32C_SSE42 1
#include <nmmintrin.h>
#endif

namespace cleric {

namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;

// kTable[k][b]: the CRC register after byte b and then k zero bytes, so that
// eight bytes are folded with eight independent look-ups ("slicing by 8").
constexpr auto kTable = [] {
  std::array<std::array<uint32_t, 256>, 8> table{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    table[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; k++) {
    for (size_t byte = 0; byte < 256; byte++) {
      const uint32_t crc = table[k - 1][byte];
      table[k][byte] = crc >> 8 ^ table[0][crc & 0xFF];
    }
  }
  return table;
}();

uint32_t load_little_endian(const uint8_t* bytes) {
  return bytes[0] | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 | uint32_t{bytes[3]} << 24;
}

#ifdef CLERIC_CRC32C_SSE42
__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(const uint8_t* bytes, size_t length, uint32_t seed) {
  uint64_t crc = ~seed;
  for (; length >= 8; bytes += 8, length -= 8) {
    uint64_t chunk;
    std::memcpy(&chunk, bytes, 8);
    crc = _mm_crc32_u64(crc, chunk);
  }
  auto rest = static_cast<uint32_t>(crc);
  for (; length > 0; bytes++, length--) rest = _mm_crc32_u8(rest, *bytes);
  return ~rest;
}
#endif

}  // namespace

uint32_t crc32c_portable(const uint8_t* bytes, size_t length, uint32_t seed) {
  uint32_t crc = ~seed;
  for (; length >= 8; bytes += 8, length -= 8) {
    const uint32_t low = load_little_endian(bytes) ^ crc;
    const uint32_t high = load_little_endian(bytes + 4);
    crc = kTable[7][low & 0xFF] ^ kTable[6][low >> 8 & 0xFF] ^ kTable[5][low >> 16 & 0xFF] ^ kTable[4][low >> 24] ^
          kTable[3][high & 0xFF] ^ kTable[2][high >> 8 & 0xFF] ^ kTable[1][high >> 16 & 0xFF] ^ kTable[0][high >> 24];
  }
  for (; length > 0; bytes++, length--) crc = crc >> 8 ^ kTable[0][(crc ^ *bytes) & 0xFF];
  return ~crc;
}

uint32_t crc32c(const uint8_t* bytes, size_t length, uint32_t seed) {
#ifdef CLERIC_CRC32C_SSE42
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) return crc32c_sse42(bytes, length, seed);
#endif
  return crc32c_portable(bytes, length, seed);
}

}  // namespace cleric
