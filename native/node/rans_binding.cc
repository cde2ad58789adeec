// class RansTables(values, offset, size, min)      four Int32Arrays
// class RansEncoder()   push(symbols, indexes, tables), finish() -> Promise<Uint8Array>
// class RansDecoder(bytes)   decode(indexes, tables) -> Promise<Int16Array>, finish(), close()
// decodeWeights(streams, lengths, valuesAStream, shapes, rows, columns, tables, mostValues) -> Promise<Int16Array>
//
// symbols is an Int16Array; indexes is a Uint8Array or a Uint16Array. Both are copied at once; what is coded is coded
// off the main thread.

#include <algorithm>
#include <exception>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "entropy/packed_weights.h"
#include "entropy/rans.h"
#include "node/binding.h"
#include "node/job.h"

namespace cleric {

namespace {

Napi::Error explain(Napi::Env env, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const rans::CorruptStream& error) {
    return coded_error(env, "ERR_CORRUPT_TILE", std::string("The entropy-coded stream is corrupt: ") + error.what());
  } catch (const rans::BadTables& error) {
    return Napi::RangeError::New(env, error.what());
  } catch (const std::bad_alloc&) {
    return Napi::RangeError::New(env, "Out of memory in the entropy coder");
  }
}

/// Runs `body`, which must not call JavaScript, with its exceptions turned into JavaScript's.
template <typename Body>
auto translated(Napi::Env env, Body&& body) {
  try {
    return body();
  } catch (...) {
    throw explain(env, std::current_exception());
  }
}

/// Memory of an object that V8 can't see. It is reported to V8, so that V8 collects the object in time.
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

/// What the array holds now: JavaScript, or another thread if the memory is shared, may change it while a job runs.
template <typename To, typename From>
std::vector<To> copy_of(Napi::Env env, Span<From> span) {
  return translated(env, [&] { return std::vector<To>(span.data, span.data + span.length); });
}

/// A copy of the indexes, whichever of the two types they have.
std::vector<uint16_t> indexes_of(const Napi::Value& value) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint16_array) {
    return copy_of<uint16_t>(value.Env(), span_of<uint16_t>(value, napi_uint16_array, "tableIndexes"));
  }
  return copy_of<uint16_t>(value.Env(), span_of<uint8_t>(value, napi_uint8_array, "tableIndexes"));
}

class RansTables : public Napi::ObjectWrap<RansTables> {
 public:
  static constexpr napi_type_tag kTag = {0x9d3cf3b1a62c4b7e, 0x8a54c1d70e6f2b19};

  static Napi::Function define(Napi::Env env) { return DefineClass(env, "RansTables", {}); }

  explicit RansTables(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RansTables>(info) {
    const auto copy = [&](size_t i, const char* name) {
      return copy_of<int32_t>(info.Env(), span_of<int32_t>(info[i], napi_int32_array, name));
    };
    const std::vector<int32_t> values = copy(0, "values");
    const std::vector<int32_t> offset = copy(1, "offset");
    const std::vector<int32_t> size = copy(2, "size");
    const std::vector<int32_t> min = copy(3, "min");
    if (offset.size() != size.size() || offset.size() != min.size()) {
      throw Napi::RangeError::New(info.Env(), "offset, size and min differ in length");
    }
    tables_ = translated(info.Env(), [&] {
      return std::make_shared<const rans::Tables>(values.data(), values.size(), offset.data(), size.data(), min.data(),
                                                  offset.size());
    });
    info.This().As<Napi::Object>().TypeTag(&kTag);
  }

  /// The jobs that use these tables share them.
  std::shared_ptr<const rans::Tables> tables() const { return tables_; }

 private:
  std::shared_ptr<const rans::Tables> tables_;
};

std::shared_ptr<const rans::Tables> tables_of(const Napi::Value& value) {
  return wrapped<RansTables>(value, "tables").tables();
}

/// Symbols that wait to be coded.
struct Run {
  std::vector<int16_t> symbols;
  std::vector<uint16_t> indexes;
  std::shared_ptr<const rans::Tables> tables;

  size_t bytes() const { return symbols.size() * sizeof(int16_t) + indexes.size() * sizeof(uint16_t); }
};

std::vector<uint8_t> encode(const std::vector<Run>& runs) {
  rans::Encoder encoder;
  for (const Run& run : runs) encoder.push(run.symbols.data(), run.indexes.data(), run.symbols.size(), *run.tables);
  return encoder.finish();
}

class RansEncoder : public Napi::ObjectWrap<RansEncoder> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "RansEncoder",
                       {InstanceMethod<&RansEncoder::push>("push"), InstanceMethod<&RansEncoder::finish>("finish")});
  }

  explicit RansEncoder(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RansEncoder>(info), reported_(info.Env()) {}

 private:
  void push(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Run run{copy_of<int16_t>(env, span_of<int16_t>(info[0], napi_int16_array, "symbols")), indexes_of(info[1]),
            tables_of(info[2])};
    if (run.indexes.size() != run.symbols.size()) {
      throw Napi::RangeError::New(env, "symbols and tableIndexes differ in length");
    }
    bytes_ += run.bytes();
    translated(env, [&] { runs_.push_back(std::move(run)); });
    reported_.set(bytes_);
  }

  Napi::Value finish(const Napi::CallbackInfo&) {
    reported_.set(bytes_ = 0);
    return Job<std::vector<uint8_t>>::start(
        Value(), [runs = std::exchange(runs_, {})] { return encode(runs); },
        [](Napi::Env env, const std::vector<uint8_t>& bytes) {
          auto result = Napi::Uint8Array::New(env, bytes.size());
          std::copy(bytes.begin(), bytes.end(), result.Data());
          return result;
        },
        explain);
  }

  std::vector<Run> runs_;
  size_t bytes_ = 0;
  Reported reported_;
};

/// What a decoder shares with its job.
struct Stream {
  explicit Stream(Span<uint8_t> bytes) : decoder(bytes.data, bytes.length) {}

  rans::Decoder decoder;
  /// Whether a job uses the decoder; no second one may start until its promise is settled. Only JavaScript's thread
  /// reads and writes this.
  bool busy = false;
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
    stream_ = translated(info.Env(), [&] { return std::make_shared<Stream>(bytes); });
    reported_.set(stream_->decoder.memory());
  }

 private:
  Napi::Value decode(const Napi::CallbackInfo& info) {
    std::vector<uint16_t> indexes = indexes_of(info[0]);
    auto tables = tables_of(info[1]);
    const std::shared_ptr<Stream> stream = idle(info.Env());
    stream->busy = true;
    // Destroyed with the job, which JavaScript's thread deletes before any reaction to its promise runs.
    const std::shared_ptr<void> done(nullptr, [stream](void*) { stream->busy = false; });
    return Job<std::vector<int16_t>>::start(
        Value(),
        [stream, indexes = std::move(indexes), tables, done] { return decode_run(stream->decoder, indexes, *tables); },
        [this](Napi::Env env, const std::vector<int16_t>& symbols) {
          if (!stream_) throw closed(env);
          auto result = Napi::Int16Array::New(env, symbols.size());
          std::copy(symbols.begin(), symbols.end(), result.Data());
          return result;
        },
        explain);
  }

  static std::vector<int16_t> decode_run(rans::Decoder& decoder, const std::vector<uint16_t>& indexes,
                                         const rans::Tables& tables) {
    std::vector<int16_t> symbols(indexes.size());
    decoder.decode(indexes.data(), indexes.size(), tables, symbols.data());
    return symbols;
  }

  void finish(const Napi::CallbackInfo& info) {
    const auto stream = idle(info.Env());
    translated(info.Env(), [&] { stream->decoder.finish(); });
  }

  /// A job that is under way keeps the stream until it is done.
  void close(const Napi::CallbackInfo&) {
    stream_.reset();
    reported_.set(0);
  }

  std::shared_ptr<Stream> idle(Napi::Env env) const {
    if (!stream_) throw closed(env);
    if (stream_->busy) throw Napi::Error::New(env, "The decoder is decoding already");
    return stream_;
  }

  static Napi::Error closed(Napi::Env env) { return coded_error(env, "ERR_CLOSED", "The decoder is closed"); }

  std::shared_ptr<Stream> stream_;
  Reported reported_;
};

/// Streams and levels are Uint8Arrays, lengths and shapes Int32Arrays, of rows, columns and the rest by turns.
Napi::Value decode_weights(const Napi::CallbackInfo& info) {
  constexpr int64_t kMost = int64_t{1} << 31;
  constexpr unsigned kMostThreads = 8;
  const Napi::Env env = info.Env();
  rans::PackedWeights weights;
  weights.streams = copy_of<uint8_t>(env, span_of<uint8_t>(info[0], napi_uint8_array, "streams"));
  weights.lengths = copy_of<int32_t>(env, span_of<int32_t>(info[1], napi_int32_array, "lengths"));
  weights.values_a_stream = static_cast<size_t>(integer_of(info[2], "valuesAStream", 1, kMost));
  const auto shapes = span_of<int32_t>(info[3], napi_int32_array, "shapes");
  weights.rows = copy_of<uint8_t>(env, span_of<uint8_t>(info[4], napi_uint8_array, "rows"));
  weights.columns = copy_of<uint8_t>(env, span_of<uint8_t>(info[5], napi_uint8_array, "columns"));
  const auto tables = tables_of(info[6]);
  const auto most_values = static_cast<size_t>(integer_of(info[7], "mostValues", 0, kMost));
  for (size_t i = 0; i + 2 < shapes.length; i += 3) {
    const int32_t* sides = shapes.data + i;
    if (sides[0] < 0 || sides[1] < 0 || sides[2] < 0) throw Napi::RangeError::New(env, "shapes has a negative side");
    weights.tensors.push_back(
        {static_cast<size_t>(sides[0]), static_cast<size_t>(sides[1]), static_cast<size_t>(sides[2])});
  }
  const size_t count = translated(env, [&] { return rans::count_values(weights, most_values); });
  // The threads write where JavaScript will read, tens of megabytes. Until then nobody else knows of the array.
  auto values = Napi::Int16Array::New(env, count);
  const auto kept = std::make_shared<Napi::ObjectReference>(Napi::Persistent(values.As<Napi::Object>()));
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
  return Job<bool>::start(
      values,
      [weights = std::move(weights), tables, threads, data = values.Data()] {
        rans::decode(weights, *tables, threads, data);
        return true;
      },
      [kept](Napi::Env, bool) { return kept->Value(); }, explain);
}

}  // namespace

void export_rans(Napi::Env env, Napi::Object exports) {
  exports.Set("RansTables", RansTables::define(env));
  exports.Set("RansEncoder", RansEncoder::define(env));
  exports.Set("RansDecoder", RansDecoder::define(env));
  exports.Set("decodeWeights", Napi::Function::New<decode_weights>(env, "decodeWeights"));
}

}  // namespace cleric
