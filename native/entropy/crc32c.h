// CRC-32C (Castagnoli): reflected polynomial 0x82F63B78, initial value and final
// xor all ones, as in iSCSI (RFC 3720) and ext4. Check: "123456789" -> 0xE3069283.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cleric {

/// The CRC of `length` bytes. `seed` is the CRC of the bytes before them, so
/// crc32c(b, crc32c(a)) is the CRC of a followed by b.
uint32_t crc32c(const uint8_t* bytes, size_t length, uint32_t seed = 0);

/// The same without the processor's instruction: the fallback, for tests.
uint32_t crc32c_portable(const uint8_t* bytes, size_t length, uint32_t seed = 0);

}  // namespace cleric
