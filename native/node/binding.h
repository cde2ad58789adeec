// What the files of the JavaScript edge share: how an error gets its `code`, how
// a typed array is looked at, and how an object of ours is told from another.
//
// The TypeScript in src/ has validated every argument before it gets here, so
// the messages of these checks are for its authors; the checks themselves are
// for memory safety and hold whatever JavaScript passes.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace cleric {

/// An Error with `code`; src/native/addon.ts turns it into the class of that code.
inline Napi::Error coded_error(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", code);
  return error;
}

template <typename T>
struct Span {
  const T* data;
  size_t length;
};

/// The elements of a typed array of exactly this type; a TypeError otherwise.
/// The pointer is good until JavaScript runs again.
template <typename T>
Span<T> span_of(const Napi::Value& value, napi_typedarray_type type, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throw Napi::TypeError::New(value.Env(), std::string("Expected another typed array for ") + name);
  }
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.ElementLength()};
}

/// An integer in [min, max]; a TypeError or RangeError otherwise.
inline int64_t integer_of(const Napi::Value& value, const char* name, int64_t min, int64_t max) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), std::string("Expected a number for ") + name);
  const double number = value.As<Napi::Number>().DoubleValue();
  // The comparisons are false for NaN, which is refused too.
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max))) {
    throw Napi::RangeError::New(value.Env(), std::string(name) + " is out of range");
  }
  return static_cast<int64_t>(number);
}

inline std::string string_of(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), std::string("Expected a string for ") + name);
  return value.As<Napi::String>().Utf8Value();
}

/// The C++ side of an argument that must be an instance of T, an ObjectWrap that
/// has tagged itself with T::kTag. Unwrapping some other object without looking at
/// the tag would reinterpret foreign memory.
template <typename T>
T& wrapped(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&T::kTag)) {
    throw Napi::TypeError::New(value.Env(), std::string("Expected an object of the addon for ") + name);
  }
  return *T::Unwrap(value.As<Napi::Object>());
}

void export_rans(Napi::Env env, Napi::Object exports);
void export_crc32c(Napi::Env env, Napi::Object exports);
void export_slide(Napi::Env env, Napi::Object exports);
void export_cpu(Napi::Env env, Napi::Object exports);

}  // namespace cleric
