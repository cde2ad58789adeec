// class RansTables(values, offset, size, min)      four Int32Arrays
// class RansEncoder()   push(symbols, indexes, tables), finish() -> Uint8Array
// class RansDecoder(bytes)   decode(indexes, tables) -> Int16Array, finish(), close()
//
// symbols is an Int16Array; indexes is a Uint8Array or a Uint16Array.

#include <algorithm>
#include <memory>
#include <vector>

#include "binding.h"
#include "rans.h"

namespace cleric {

namespace {

/// Runs `body` with the exceptions of the coder turned into JavaScript's.
template <typename Body>
auto translated(Napi::Env env, Body&& body) {
  try {
    return body();
  } catch (const rans::CorruptStream& error) {
    throw coded_error(env, "ERR_CORRUPT_TILE", std::string("The entropy-coded stream is corrupt: ") + error.what());
  } catch (const rans::BadTables& error) {
    throw Napi::RangeError::New(env, error.what());
  } catch (const std::bad_alloc&) {
    throw Napi::RangeError::New(env, "Out of memory in the entropy coder");
  }
}

/// Memory behind an object that V8 can't see, reported so that it collects in time.
class Reported {
 public:
  explicit Reported(Napi::Env env) : env_(env) {}
  ~Reported() { set(0); }
  Reported(const Reported&) = delete;
  Reported& operator=(const Reported&) = delete;

  void set(size_t bytes) {
    const auto now = static_cast<int64_t>(bytes);
    if (now != reported_) Napi::MemoryManagement::AdjustExternalMemory(env_, now - reported_);
    reported_ = now;
  }

 private:
  const Napi::Env env_;
  int64_t reported_ = 0;
};

/// Calls `body` with the indexes as a Span of whichever of the two types it is.
template <typename Body>
void with_indexes(const Napi::Value& value, Body&& body) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint16_array) {
    body(span_of<uint16_t>(value, napi_uint16_array, "tableIndexes"));
  } else {
    body(span_of<uint8_t>(value, napi_uint8_array, "tableIndexes"));
  }
}

class RansTables : public Napi::ObjectWrap<RansTables> {
 public:
  static constexpr napi_type_tag kTag = {0x9d3cf3b1a62c4b7e, 0x8a54c1d70e6f2b19};

  static Napi::Function define(Napi::Env env) { return DefineClass(env, "RansTables", {}); }

  explicit RansTables(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RansTables>(info) {
    const auto values = span_of<int32_t>(info[0], napi_int32_array, "values");
    const auto offset = span_of<int32_t>(info[1], napi_int32_array, "offset");
    const auto size = span_of<int32_t>(info[2], napi_int32_array, "size");
    const auto min = span_of<int32_t>(info[3], napi_int32_array, "min");
    if (offset.length != size.length || offset.length != min.length) {
      throw Napi::RangeError::New(info.Env(), "offset, size and min differ in length");
    }
    tables_ = translated(info.Env(), [&] {
      // Copies: memory that is shared with other threads might change between the checks and the use.
      const auto copy = [](Span<int32_t> span) { return std::vector<int32_t>(span.data, span.data + span.length); };
      const std::vector<int32_t> own[] = {copy(values), copy(offset), copy(size), copy(min)};
      return std::make_unique<rans::Tables>(own[0].data(), own[0].size(), own[1].data(), own[2].data(), own[3].data(),
                                            own[1].size());
    });
    info.This().As<Napi::Object>().TypeTag(&kTag);
  }

  const rans::Tables& tables() const { return *tables_; }

 private:
  std::unique_ptr<const rans::Tables> tables_;
};

class RansEncoder : public Napi::ObjectWrap<RansEncoder> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "RansEncoder",
                       {InstanceMethod<&RansEncoder::push>("push"), InstanceMethod<&RansEncoder::finish>("finish")});
  }

  explicit RansEncoder(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RansEncoder>(info), reported_(info.Env()) {}

 private:
  void push(const Napi::CallbackInfo& info) {
    const auto symbols = span_of<int16_t>(info[0], napi_int16_array, "symbols");
    const rans::Tables& tables = wrapped<RansTables>(info[2], "tables").tables();
    with_indexes(info[1], [&](auto indexes) {
      if (indexes.length != symbols.length) {
        throw Napi::RangeError::New(info.Env(), "symbols and tableIndexes differ in length");
      }
      translated(info.Env(), [&] { encoder_.push(symbols.data, indexes.data, symbols.length, tables); });
    });
    reported_.set(encoder_.memory());
  }

  Napi::Value finish(const Napi::CallbackInfo& info) {
    const std::vector<uint8_t> bytes = translated(info.Env(), [&] { return encoder_.finish(); });
    reported_.set(encoder_.memory());
    auto result = Napi::Uint8Array::New(info.Env(), bytes.size());
    std::copy(bytes.begin(), bytes.end(), result.Data());
    return result;
  }

  rans::Encoder encoder_;
  Reported reported_;
};

class RansDecoder : public Napi::ObjectWrap<RansDecoder> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "RansDecoder",
                       {InstanceMethod<&RansDecoder::decode>("decode"), InstanceMethod<&RansDecoder::finish>("finish"),
                        InstanceMethod<&RansDecoder::close>("close")});
  }

  explicit RansDecoder(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RansDecoder>(info), reported_(info.Env()) {
    const auto bytes = span_of<uint8_t>(info[0], napi_uint8_array, "bytes");
    decoder_ = translated(info.Env(), [&] { return std::make_unique<rans::Decoder>(bytes.data, bytes.length); });
    reported_.set(decoder_->memory());
  }

 private:
  Napi::Value decode(const Napi::CallbackInfo& info) {
    const rans::Tables& tables = wrapped<RansTables>(info[1], "tables").tables();
    Napi::Value result;
    with_indexes(info[0], [&](auto indexes) {
      auto symbols = Napi::Int16Array::New(info.Env(), indexes.length);
      translated(info.Env(), [&] { open(info.Env()).decode(indexes.data, indexes.length, tables, symbols.Data()); });
      result = symbols;
    });
    return result;
  }

  void finish(const Napi::CallbackInfo& info) {
    translated(info.Env(), [&] { open(info.Env()).finish(); });
  }

  void close(const Napi::CallbackInfo&) {
    decoder_.reset();
    reported_.set(0);
  }

  rans::Decoder& open(Napi::Env env) {
    if (!decoder_) throw coded_error(env, "ERR_CLOSED", "The decoder is closed");
    return *decoder_;
  }

  std::unique_ptr<rans::Decoder> decoder_;
  Reported reported_;
};

}  // namespace

void export_rans(Napi::Env env, Napi::Object exports) {
  exports.Set("RansTables", RansTables::define(env));
  exports.Set("RansEncoder", RansEncoder::define(env));
  exports.Set("RansDecoder", RansDecoder::define(env));
}

}  // namespace cleric
