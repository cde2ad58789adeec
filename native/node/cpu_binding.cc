// class CpuBackend(threads, isa)    isa: "" for the best; properties threads, isa
//   compile(tensors: Int32Array, program: Int32Array, reals: Float32Array, keys: string[], values: (Float32Array | Int32Array)[])
//     -> CpuExecutable: run(stage, inputs: TypedArray[]) -> Promise<TypedArray[]>, cancel(),
//        seconds(stage) -> Float64Array, bytes, close()
//   peak() -> Promise<number>: operations a second, float32, of multiply-adds in registers on all threads
//   close()
// cpuInstructionSets() -> string[]: best first
// cpuNumbering() -> { operations, layouts, formats, activations, halves: string[] }: what a plan numbers, each name at
//   its number
//
// Stages take turns on the backend's own threads.

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cpu/graph/executable.h"
#include "cpu/graph/instruction_sets.h"
#include "cpu/graph/peak.h"
#include "node/binding.h"
#include "node/queued_worker.h"

namespace cleric {

namespace {

using cpu::Device;
using cpu::Executable;
using cpu::Format;
using cpu::Staging;

constexpr int kMaxThreads = 256;
/// The most parameters or ports that a graph may have, far above the largest.
constexpr uint32_t kMaxElements = 1 << 20;

Napi::Error closed(Napi::Env env, const char* what) {
  return coded_error(env, "ERR_CLOSED", std::string("The ") + what + " is closed");
}

napi_typedarray_type type_of(Format format) {
  return format == Format::real ? napi_float32_array : format == Format::int16 ? napi_int16_array : napi_uint8_array;
}

Napi::Value copy_out(Napi::Env env, const Staging& port) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, port.bytes);
  std::memcpy(buffer.Data(), port.data.get(), port.bytes);
  switch (port.format) {
    case Format::real:
      return Napi::Float32Array::New(env, port.bytes / sizeof(float), buffer, 0);
    case Format::int16:
      return Napi::Int16Array::New(env, port.bytes / sizeof(int16_t), buffer, 0);
    case Format::rgb8:
      break;
  }
  return Napi::Uint8Array::New(env, port.bytes, buffer, 0);
}

/// The elements of an array, each read once.
std::vector<Napi::Value> elements_of(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  if (array.Length() > kMaxElements) throw Napi::RangeError::New(value.Env(), "An array is too long");
  std::vector<Napi::Value> elements;
  for (uint32_t i = 0; i < array.Length(); i++) elements.push_back(array.Get(i));
  return elements;
}

class RunWorker;

/// What a CpuExecutable and its runs share, on JavaScript's thread.
struct Running {
  /// Null once it is closed; a run has its own reference.
  std::shared_ptr<Executable> executable;
  /// The run that waits for its turn or has it, if any.
  RunWorker* worker = nullptr;
};

class RunWorker final : public QueuedWorker {
 public:
  RunWorker(Napi::Env env, std::shared_ptr<Running> running, std::size_t stage)
      : QueuedWorker(env, running->executable->device()),
        running_(std::move(running)),
        executable_(running_->executable),
        stage_(stage) {
    running_->worker = this;
  }

 private:
  void execute() override { executable_->run(stage_, cancelled_); }

  void stop() override { cancelled_ = true; }

  void ended() override { running_->worker = nullptr; }

  Napi::Value result(Napi::Env env) override {
    const std::vector<Staging>& ports = executable_->outputs(stage_);
    Napi::Array outputs = Napi::Array::New(env, ports.size());
    for (std::size_t i = 0; i < ports.size(); i++) {
      outputs.Set(static_cast<uint32_t>(i), copy_out(env, ports[i]));
    }
    return outputs;
  }

  Napi::Error explain(Napi::Env env, const std::exception_ptr& failure) override {
    if (!running_->executable) return closed(env, "executable");
    try {
      std::rethrow_exception(failure);
    } catch (const cpu::Aborted&) {
      return coded_error(env, "ERR_ABORTED", "The operation was aborted");
    } catch (const std::exception& error) {
      return coded_error(env, "ERR_DEVICE_FAILED", error.what());
    }
  }

  const std::shared_ptr<Running> running_;
  const std::shared_ptr<Executable> executable_;
  const std::size_t stage_;
  /// Read on the queue's thread.
  std::atomic<bool> cancelled_{false};
};

class PeakWorker final : public QueuedWorker {
 public:
  PeakWorker(Napi::Env env, std::shared_ptr<Device> device) : QueuedWorker(env, std::move(device)) {}

 private:
  void execute() override { operations_ = cpu::measure_peak(device()); }

  Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, operations_); }

  Napi::Error explain(Napi::Env env, const std::exception_ptr&) override {
    return coded_error(env, "ERR_DEVICE_FAILED", "The processor's peak could not be measured");
  }

  double operations_ = 0;
};

class CpuExecutable : public Napi::ObjectWrap<CpuExecutable> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "CpuExecutable",
        {InstanceMethod<&CpuExecutable::run>("run"), InstanceMethod<&CpuExecutable::cancel>("cancel"),
         InstanceMethod<&CpuExecutable::seconds>("seconds"), InstanceAccessor<&CpuExecutable::bytes>("bytes"),
         InstanceMethod<&CpuExecutable::close>("close")});
  }

  /// Only the addon constructs these: the argument is an External of a std::shared_ptr<Executable>, which is moved from.
  explicit CpuExecutable(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CpuExecutable>(info) {
    if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "A CpuExecutable comes from compile()");
    const auto made = info[0].As<Napi::External<std::shared_ptr<Executable>>>();
    if (!made.CheckTypeTag(&kTag)) throw Napi::TypeError::New(info.Env(), "A CpuExecutable comes from compile()");
    running_->executable = std::move(*made.Data());
  }

  static constexpr napi_type_tag kTag = {0x53c1c9f0d5b64a0e, 0xb1f4730a9a6e11d7};

 private:
  Executable& open(Napi::Env env) {
    if (!running_->executable) throw closed(env, "executable");
    return *running_->executable;
  }

  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!info[1].IsArray()) throw Napi::TypeError::New(env, "Expected one array for each input");
    // Reading an element may run JavaScript (an accessor) that closes or runs this executable, so all are read before
    // anything else is looked at.
    const std::vector<Napi::Value> inputs = elements_of(info[1]);
    Executable& executable = open(env);
    const auto last = static_cast<int64_t>(executable.stages()) - 1;
    const auto stage = static_cast<std::size_t>(integer_of(info[0], "stage", 0, last));
    if (running_->worker) throw Napi::Error::New(env, "The executable is running already");
    if (!executable.can_run(stage)) throw Napi::Error::New(env, "Stages run in order");
    std::vector<Staging>& ports = executable.inputs(stage);
    if (inputs.size() != ports.size()) throw Napi::TypeError::New(env, "Expected one array for each input");
    for (std::size_t i = 0; i < ports.size(); i++) {
      const Napi::Value& value = inputs[i];
      if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type_of(ports[i].format) ||
          value.As<Napi::TypedArray>().ByteLength() != ports[i].bytes) {
        throw Napi::TypeError::New(env, "An input has another type or length than its port");
      }
      const auto array = value.As<Napi::TypedArray>();
      const auto* data = static_cast<const std::byte*>(array.ArrayBuffer().Data()) + array.ByteOffset();
      std::memcpy(ports[i].data.get(), data, ports[i].bytes);
    }
    return (new RunWorker(env, running_, stage))->start();
  }

  void cancel(const Napi::CallbackInfo&) {
    if (running_->worker) running_->worker->abort();
  }

  Napi::Value seconds(const Napi::CallbackInfo& info) {
    Executable& executable = open(info.Env());
    const auto last = static_cast<int64_t>(executable.stages()) - 1;
    const auto stage = static_cast<std::size_t>(integer_of(info[0], "stage", 0, last));
    if (running_->worker) throw Napi::Error::New(info.Env(), "The executable is running");
    const std::vector<double>& values = executable.seconds(stage);
    auto result = Napi::Float64Array::New(info.Env(), values.size());
    std::copy(values.begin(), values.end(), result.Data());
    return result;
  }

  Napi::Value bytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(open(info.Env()).bytes()));
  }

  void close(const Napi::CallbackInfo& info) {
    // A run in progress has its own reference and lets go between two nodes.
    running_->executable.reset();
    cancel(info);
  }

  std::shared_ptr<Running> running_ = std::make_shared<Running>();
};

/// Classes that JavaScript doesn't see. Each is defined once an environment, as V8 keeps whatever is defined for ever.
struct Classes {
  Napi::FunctionReference executable;
};

class CpuBackend : public Napi::ObjectWrap<CpuBackend> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "CpuBackend",
                       {InstanceMethod<&CpuBackend::compile>("compile"), InstanceMethod<&CpuBackend::peak>("peak"),
                        InstanceAccessor<&CpuBackend::threads>("threads"), InstanceAccessor<&CpuBackend::isa>("isa"),
                        InstanceMethod<&CpuBackend::close>("close")});
  }

  explicit CpuBackend(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CpuBackend>(info) {
    const auto threads = static_cast<int>(integer_of(info[0], "threads", 1, kMaxThreads));
    const std::string isa = string_of(info[1], "isa");
    for (const cpu::KernelTable* kernels : cpu::available_kernels()) {
      if (device_ || (!isa.empty() && isa != kernels->name)) continue;
      try {
        device_ = std::make_shared<Device>(threads, *kernels);
      } catch (const std::system_error&) {
        throw coded_error(info.Env(), "ERR_DEVICE_LIMIT", "The system gives no thread to run on");
      }
    }
    if (!device_) throw Napi::RangeError::New(info.Env(), "This processor or build has no instruction set " + isa);
  }

 private:
  Device& open(Napi::Env env) {
    if (!device_) throw closed(env, "backend");
    return *device_;
  }

  Napi::Value compile(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!info[3].IsArray() || !info[4].IsArray()) throw Napi::TypeError::New(env, "Expected arrays of parameters");
    // Reading an element may run JavaScript (an accessor) that closes the backend or moves memory, so all are read before
    // anything else is looked at.
    const std::vector<Napi::Value> keys = elements_of(info[3]);
    const std::vector<Napi::Value> values = elements_of(info[4]);
    open(env);
    if (keys.size() != values.size()) throw Napi::RangeError::New(env, "keys and values differ in length");
    std::vector<cpu::ParameterSpec> parameters;
    for (std::size_t i = 0; i < keys.size(); i++) {
      cpu::ParameterSpec parameter{string_of(keys[i], "key"), nullptr, nullptr, 0};
      // The length becomes part of the key that names the packed values, so a key must not hold the separator itself:
      // "a#9" of 3 values would look like another parameter's.
      if (parameter.key.find('#') != std::string::npos) throw Napi::RangeError::New(env, "A key has a #");
      const bool whole =
          values[i].IsTypedArray() && values[i].As<Napi::TypedArray>().TypedArrayType() == napi_int32_array;
      if (whole) {
        const auto span = span_of<int32_t>(values[i], napi_int32_array, "parameter");
        parameter.integers = span.data;
        parameter.length = span.length;
      } else {
        const auto span = span_of<float>(values[i], napi_float32_array, "parameter");
        parameter.reals = span.data;
        parameter.length = span.length;
      }
      parameter.key.append(whole ? "#i" : "#").append(std::to_string(parameter.length));
      parameters.push_back(std::move(parameter));
    }
    const auto tensors = span_of<int32_t>(info[0], napi_int32_array, "tensors");
    const auto program = span_of<int32_t>(info[1], napi_int32_array, "program");
    const auto reals = span_of<float>(info[2], napi_float32_array, "reals");
    try {
      auto made = std::make_shared<Executable>(
          device_, cpu::read_plan(tensors.data, tensors.length, program.data, program.length, reals.data, reals.length,
                                  std::move(parameters)));
      const auto external = Napi::External<std::shared_ptr<Executable>>::New(env, &made);
      external.TypeTag(&CpuExecutable::kTag);
      return env.GetInstanceData<Classes>()->executable.New({external});
    } catch (const cpu::BadPlan& error) {
      throw Napi::RangeError::New(env, error.what());
    } catch (const std::bad_alloc&) {
      throw coded_error(env, "ERR_DEVICE_LIMIT", "Out of memory for the graph");
    }
  }

  Napi::Value peak(const Napi::CallbackInfo& info) {
    open(info.Env());
    return (new PeakWorker(info.Env(), device_))->start();
  }

  Napi::Value threads(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), open(info.Env()).pool.threads());
  }

  Napi::Value isa(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), open(info.Env()).kernels.name);
  }

  /// Frees the threads and the weights once the last executable has gone too.
  void close(const Napi::CallbackInfo&) { device_.reset(); }

  std::shared_ptr<Device> device_;
};

template <typename Names>
Napi::Array array_of(Napi::Env env, const Names& names) {
  Napi::Array array = Napi::Array::New(env);
  for (const char* name : names) array.Set(array.Length(), Napi::String::New(env, name));
  return array;
}

Napi::Value instruction_sets(const Napi::CallbackInfo& info) {
  std::vector<const char*> names;
  for (const cpu::KernelTable* kernels : cpu::available_kernels()) names.push_back(kernels->name);
  return array_of(info.Env(), names);
}

Napi::Value numbering(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto object = Napi::Object::New(env);
  object.Set("operations", array_of(env, cpu::kOperationNames));
  object.Set("layouts", array_of(env, cpu::kLayoutNames));
  object.Set("formats", array_of(env, cpu::kFormatNames));
  object.Set("activations", array_of(env, cpu::kActivationNames));
  object.Set("halves", array_of(env, cpu::kHalfNames));
  return object;
}

}  // namespace

void export_cpu(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Classes{Napi::Persistent(CpuExecutable::define(env))});
  exports.Set("CpuBackend", CpuBackend::define(env));
  exports.Set("cpuInstructionSets", Napi::Function::New(env, instruction_sets, "cpuInstructionSets"));
  exports.Set("cpuNumbering", Napi::Function::New(env, numbering, "cpuNumbering"));
}

}  // namespace cleric
