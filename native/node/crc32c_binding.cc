// crc32c(bytes: Uint8Array, seed: number) and crc32cPortable of the same shape.

#include "entropy/crc32c.h"
#include "node/binding.h"

namespace cleric {

namespace {

template <uint32_t (*crc)(const uint8_t*, size_t, uint32_t)>
Napi::Value call(const Napi::CallbackInfo& info) {
  const auto bytes = span_of<uint8_t>(info[0], napi_uint8_array, "bytes");
  const auto seed = static_cast<uint32_t>(integer_of(info[1], "seed", 0, 0xFFFFFFFF));
  return Napi::Number::New(info.Env(), crc(bytes.data, bytes.length, seed));
}

}  // namespace

void export_crc32c(Napi::Env env, Napi::Object exports) {
  exports.Set("crc32c", Napi::Function::New<call<crc32c>>(env, "crc32c"));
  exports.Set("crc32cPortable", Napi::Function::New<call<crc32c_portable>>(env, "crc32cPortable"));
}

}  // namespace cleric
