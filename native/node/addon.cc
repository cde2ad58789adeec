// The addon's one entry point. All state hangs off JavaScript objects, so it may
// be loaded by any number of worker threads.

#include "node/binding.h"

static Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  cleric::export_rans(env, exports);
  cleric::export_crc32c(env, exports);
  cleric::export_slide(env, exports);
  cleric::export_cpu(env, exports);
  return exports;
}

NODE_API_MODULE(cleric, initialise)
