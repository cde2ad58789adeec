// class Slide, every method off the main thread:
//   open(path, library) -> Promise<NativeSlideInfo>     library: '' for the usual names
//   readRegion(job, x, y, level, width, height, background) -> Promise<NativePixels>
//   readAssociatedImage(job, name, background) -> Promise<NativePixels>
//   cancel(job)    a job that hasn't begun is rejected with ERR_ABORTED instead
//   close()        reads under way go on and keep the slide until they are done
//
// src/native/addon.ts has the types. background is 0xRRGGBB.

#include <atomic>
#include <cstring>
#include <exception>
#include <map>
#include <memory>

#include "node/binding.h"
#include "node/job.h"
#include "slide/slide.h"

namespace cleric {

namespace {

Napi::Error explain(Napi::Env env, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const SlideError& error) {
    return coded_error(env, error.code(), error.what());
  } catch (const std::exception& error) {
    // There was no memory, or the caller didn't check a limit.
    return coded_error(env, "ERR_OPENSLIDE_READ", std::string("Can't read the slide: ") + error.what());
  }
}

Napi::Value info_object(Napi::Env env, const SlideInfo& info) {
  auto levels = Napi::Array::New(env);
  for (const Level& level : info.levels) {
    for (const double number :
         {static_cast<double>(level.width), static_cast<double>(level.height), level.downsample}) {
      levels.Set(levels.Length(), Napi::Number::New(env, number));
    }
  }
  auto properties = Napi::Array::New(env);
  for (const auto& [name, value] : info.properties) {
    properties.Set(properties.Length(), Napi::String::New(env, name));
    properties.Set(properties.Length(), Napi::String::New(env, value));
  }
  auto associated_images = Napi::Array::New(env);
  for (const std::string& name : info.associated_images) {
    associated_images.Set(associated_images.Length(), Napi::String::New(env, name));
  }
  auto icc_profile = Napi::Uint8Array::New(env, info.icc_profile.size());
  std::copy(info.icc_profile.begin(), info.icc_profile.end(), icc_profile.Data());

  auto object = Napi::Object::New(env);
  object.Set("libraryVersion", info.library_version);
  object.Set("levels", levels);
  object.Set("properties", properties);
  object.Set("associatedImages", associated_images);
  object.Set("iccProfile", icc_profile);
  object.Set("iccError", info.icc_error);
  return object;
}

Napi::Value pixels_object(Napi::Env env, Pixels& pixels) {
  auto data = Napi::Uint8Array::New(env, pixels.byte_length());
  std::memcpy(data.Data(), pixels.bytes(), pixels.byte_length());
  auto object = Napi::Object::New(env);
  object.Set("data", data);
  object.Set("width", static_cast<double>(pixels.width));
  object.Set("height", static_cast<double>(pixels.height));
  return object;
}

uint32_t background_of(const Napi::Value& value) {
  return static_cast<uint32_t>(integer_of(value, "background", 0, 0xFFFFFF));
}

class SlideObject : public Napi::ObjectWrap<SlideObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Slide",
        {InstanceMethod<&SlideObject::open>("open"), InstanceMethod<&SlideObject::read_region>("readRegion"),
         InstanceMethod<&SlideObject::read_associated_image>("readAssociatedImage"),
         InstanceMethod<&SlideObject::cancel>("cancel"), InstanceMethod<&SlideObject::close>("close")});
  }

  explicit SlideObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SlideObject>(info) {}

 private:
  using SharedSlide = std::shared_ptr<Slide>;

  Napi::Value open(const Napi::CallbackInfo& info) {
    const std::string path = string_of(info[0], "path");
    const std::string library = string_of(info[1], "library");
    return Job<SharedSlide>::start(
        Value(), [=] { return std::make_shared<Slide>(path, library); },
        [this](Napi::Env env, SharedSlide& slide) {
          slide_ = slide;
          return info_object(env, slide->info());
        },
        explain);
  }

  Napi::Value read_region(const Napi::CallbackInfo& info) {
    const int64_t x = integer_of(info[1], "x", -kMaxCoordinate, kMaxCoordinate);
    const int64_t y = integer_of(info[2], "y", -kMaxCoordinate, kMaxCoordinate);
    const auto level = static_cast<int32_t>(integer_of(info[3], "level", 0, INT32_MAX));
    const int64_t width = integer_of(info[4], "width", 1, kMaxPixels);
    const int64_t height = integer_of(info[5], "height", 1, kMaxPixels);
    const uint32_t background = background_of(info[6]);
    return start_read(info, [=](Slide& slide) { return slide.read_region(x, y, level, width, height, background); });
  }

  Napi::Value read_associated_image(const Napi::CallbackInfo& info) {
    const std::string name = string_of(info[1], "name");
    const uint32_t background = background_of(info[2]);
    return start_read(info, [=](Slide& slide) { return slide.read_associated_image(name, background); });
  }

  template <typename Read>
  Napi::Value start_read(const Napi::CallbackInfo& info, Read read) {
    if (!slide_) throw coded_error(info.Env(), "ERR_CLOSED", "The slide is closed");
    const int64_t job = integer_of(info[0], "job", 0, (int64_t{1} << 53) - 1);
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    std::erase_if(jobs_, [](const auto& entry) { return entry.second.expired(); });
    jobs_.insert_or_assign(job, cancelled);
    // The job holds a reference to the slide of its own, so it goes on after close().
    return Job<Pixels>::start(
        Value(),
        [slide = slide_, cancelled, read] {
          if (cancelled->load()) throw SlideError("ERR_ABORTED", "The operation was aborted");
          return read(*slide);
        },
        pixels_object, explain);
  }

  void cancel(const Napi::CallbackInfo& info) {
    const auto job = jobs_.find(integer_of(info[0], "job", 0, (int64_t{1} << 53) - 1));
    if (job == jobs_.end()) return;
    if (const auto cancelled = job->second.lock()) cancelled->store(true);
  }

  void close(const Napi::CallbackInfo&) { slide_.reset(); }

  SharedSlide slide_;
  std::map<int64_t, std::weak_ptr<std::atomic<bool>>> jobs_;
};

}  // namespace

void export_slide(Napi::Env env, Napi::Object exports) {
  exports.Set("Slide", SlideObject::define(env));
}

}  // namespace cleric
