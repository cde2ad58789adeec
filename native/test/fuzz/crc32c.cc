// The checksum: both ways to compute it agree, whole or in pieces, wherever the bytes lie.

#include "entropy/crc32c.h"

#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  const uint32_t whole = cleric::crc32c(bytes, length);
  fuzz::expect(whole == cleric::crc32c_portable(bytes, length), "both ways give the same");
  const size_t cut = length == 0 ? 0 : bytes[0] % (length + 1);
  const uint32_t pieces = cleric::crc32c(bytes + cut, length - cut, cleric::crc32c(bytes, cut));
  fuzz::expect(whole == pieces, "the pieces give what the whole gives");
  return 0;
}
