// Any numbers for tables. What is taken must find an owner for every slot.

#include "entropy/rans.h"
#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  fuzz::Input input(bytes, length);
  const size_t count = input.next<uint8_t>() % 8;
  const auto offset = input.list<int32_t>(count);
  const auto size = input.list<int32_t>(count);
  const auto min = input.list<int32_t>(count);
  auto values = input.list<int32_t>(input.left() / sizeof(int32_t));
  if (min.size() < count) return 0;
  try {
    const cleric::rans::Tables tables(values.data(), values.size(), offset.data(), size.data(), min.data(), count);
    for (size_t t = 0; t < tables.count(); t++) {
      for (uint32_t slot = 0; slot < cleric::rans::kSlots; slot += 251) {
        const int32_t symbol = tables.find(t, slot);
        fuzz::expect(symbol >= 0 && symbol <= tables.table(t).escape, "a slot has a symbol");
        const auto range = tables.range(tables.table(t), symbol);
        fuzz::expect(slot >= range.start && slot < range.start + range.freq(), "a slot is its symbol's");
      }
    }
  } catch (const cleric::rans::BadTables&) {
  }
  return 0;
}
