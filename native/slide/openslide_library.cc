#include "slide/openslide_library.h"

#include <map>
#include <mutex>
#include <vector>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace cleric {

namespace {

#ifdef _WIN32

void* open_library(const char* name, std::string& reason) {
  HMODULE module = LoadLibraryA(name);
  if (module == nullptr) reason = "LoadLibrary error " + std::to_string(GetLastError());
  return module;
}

void* find_symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

const std::vector<std::string> kNames = {"libopenslide-1.dll", "libopenslide-0.dll"};

#else

void* open_library(const char* name, std::string& reason) {
  // Local: OpenSlide's dependencies must not answer for other addons' symbols.
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* error = dlerror();
    reason = error == nullptr ? "unknown reason" : error;
  }
  return library;
}

void* find_symbol(void* library, const char* name) {
  return dlsym(library, name);
}

#ifdef __APPLE__
const std::vector<std::string> kNames = {"libopenslide.1.dylib",
                                         "libopenslide.0.dylib",
                                         "/opt/homebrew/lib/libopenslide.1.dylib",
                                         "/opt/homebrew/lib/libopenslide.0.dylib",
                                         "/usr/local/lib/libopenslide.1.dylib",
                                         "/usr/local/lib/libopenslide.0.dylib"};
#else
const std::vector<std::string> kNames = {"libopenslide.so.1", "libopenslide.so.0"};
#endif

#endif

[[noreturn]] void missing(const std::string& reason) {
  throw SlideError(
      "ERR_OPENSLIDE_MISSING",
      "OpenSlide is needed to read slides but can't be loaded (" + reason +
          "). Install it: `apt-get install libopenslide0` on Debian and Ubuntu, `dnf install openslide` on "
          "Fedora, `brew install openslide` on macOS, or the binaries from https://openslide.org/download/; or "
          "set CLERIC_OPENSLIDE to the library's file");
}

template <typename Function>
void resolve_optional(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(find_symbol(library, name));
}

template <typename Function>
void resolve(void* library, const char* name, Function& function) {
  resolve_optional(library, name, function);
  if (function == nullptr) missing(std::string("it has no ") + name + ", which is in OpenSlide since 3.4");
}

std::shared_ptr<const OpenSlideLibrary> resolve_all(void* library) {
  auto api = std::make_shared<OpenSlideLibrary>();
  resolve(library, "openslide_open", api->open);
  resolve(library, "openslide_close", api->close);
  resolve(library, "openslide_get_error", api->get_error);
  resolve(library, "openslide_get_version", api->get_version);
  resolve(library, "openslide_get_level_count", api->get_level_count);
  resolve(library, "openslide_get_level_dimensions", api->get_level_dimensions);
  resolve(library, "openslide_get_level_downsample", api->get_level_downsample);
  resolve(library, "openslide_read_region", api->read_region);
  resolve(library, "openslide_get_property_names", api->get_property_names);
  resolve(library, "openslide_get_property_value", api->get_property_value);
  resolve(library, "openslide_get_associated_image_names", api->get_associated_image_names);
  resolve(library, "openslide_get_associated_image_dimensions", api->get_associated_image_dimensions);
  resolve(library, "openslide_read_associated_image", api->read_associated_image);
  resolve_optional(library, "openslide_get_icc_profile_size", api->get_icc_profile_size);
  resolve_optional(library, "openslide_read_icc_profile", api->read_icc_profile);
  return api;
}

}  // namespace

std::shared_ptr<const OpenSlideLibrary> OpenSlideLibrary::load(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const OpenSlideLibrary>> loaded;
  const std::lock_guard lock(mutex);
  const auto known = loaded.find(path);
  if (known != loaded.end()) return known->second;

  std::string reason;
  for (const std::string& name : path.empty() ? kNames : std::vector<std::string>{path}) {
    std::string this_reason;
    if (void* library = open_library(name.c_str(), this_reason)) return loaded[path] = resolve_all(library);
    reason += (reason.empty() ? "" : "; ") + this_reason;
  }
  missing(reason);
}

}  // namespace cleric
