// OpenSlide, loaded at run time.
//
// The addon neither includes OpenSlide's headers nor links to it: it builds and
// loads where OpenSlide isn't installed, and the first slide to be opened says
// so. Any release since 3.4 will do; functions that are younger are optional.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace cleric {

/// A failure with the code that JavaScript sees.
class SlideError : public std::runtime_error {
 public:
  SlideError(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;
};

/// OpenSlide's own handle type, opaque.
struct openslide_t;

/// The functions of openslide.h that we call, as documented there.
struct OpenSlideLibrary {
  openslide_t* (*open)(const char* path);
  void (*close)(openslide_t*);
  const char* (*get_error)(openslide_t*);
  const char* (*get_version)();

  int32_t (*get_level_count)(openslide_t*);
  void (*get_level_dimensions)(openslide_t*, int32_t level, int64_t* width, int64_t* height);
  double (*get_level_downsample)(openslide_t*, int32_t level);
  void (*read_region)(openslide_t*, uint32_t* pixels, int64_t x, int64_t y, int32_t level, int64_t width,
                      int64_t height);

  const char* const* (*get_property_names)(openslide_t*);
  const char* (*get_property_value)(openslide_t*, const char* name);

  const char* const* (*get_associated_image_names)(openslide_t*);
  void (*get_associated_image_dimensions)(openslide_t*, const char* name, int64_t* width, int64_t* height);
  void (*read_associated_image)(openslide_t*, const char* name, uint32_t* pixels);

  // Since OpenSlide 4.0; null before.
  int64_t (*get_icc_profile_size)(openslide_t*);
  void (*read_icc_profile)(openslide_t*, void* bytes);

  /// The library at `path`, or under its usual names if `path` is empty. Loaded once
  /// a path and never unloaded (GLib, under it, can't be). A failure is not remembered:
  /// installing the package is enough, the process need not start again.
  /// Throws SlideError ERR_OPENSLIDE_MISSING.
  static std::shared_ptr<const OpenSlideLibrary> load(const std::string& path);
};

}  // namespace cleric
