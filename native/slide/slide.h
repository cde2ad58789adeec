// One slide, read through OpenSlide from any thread. No JavaScript in this file.
//
// OpenSlide's pixels are premultiplied ARGB with holes (alpha 0) where the slide
// has no data; ours are RGB, the holes filled with the caller's background colour.
//
// An openslide_t that failed once refuses everything from then on: after one bad tile
// no other could be read, nor could reads in progress on other threads end well. So a
// read that fails drops the handle and tries once more on a fresh one of its own.
// What fails there is bad in itself.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "slide/openslide_library.h"

namespace cleric {

/// Interleaved RGB, 8 bit, width * height * 3 bytes at the front of `storage`.
struct Pixels {
  std::unique_ptr<uint32_t[]> storage;
  int64_t width;
  int64_t height;

  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(storage.get()); }
  size_t byte_length() const { return static_cast<size_t>(width) * static_cast<size_t>(height) * 3; }
};

struct Level {
  int64_t width;
  int64_t height;
  double downsample;
};

struct SlideInfo {
  std::string library_version;
  std::vector<Level> levels;
  std::vector<std::pair<std::string, std::string>> properties;
  std::vector<std::string> associated_images;
  std::vector<uint8_t> icc_profile;  // empty: the slide has none, or the library can't tell
  std::string icc_error;             // why the profile couldn't be read, if so
};

/// The most pixels that one image may have: 1 GiB of ARGB.
constexpr int64_t kMaxPixels = int64_t{1} << 28;
/// The largest magnitude of a coordinate: far outside any slide, and far inside what OpenSlide's doubles hold.
constexpr int64_t kMaxCoordinate = int64_t{1} << 40;

class Slide {
 public:
  /// Opens the slide at `path` (UTF-8) and reads what `info` has. Throws SlideError:
  /// ERR_OPENSLIDE_MISSING, ERR_UNSUPPORTED_SLIDE (no format that OpenSlide knows),
  /// ERR_OPENSLIDE_READ (not readable, or a broken slide).
  Slide(std::string path, const std::string& library);

  const SlideInfo& info() const { return info_; }

  /// A region of a level. x, y: pixels of level 0, anywhere, even outside the slide. width, height: pixels of the
  /// level. Throws SlideError ERR_OPENSLIDE_READ; std::invalid_argument beyond the limits above.
  Pixels read_region(int64_t x, int64_t y, int32_t level, int64_t width, int64_t height, uint32_t background);

  /// A label, macro or thumbnail. `name` is one of info().associated_images.
  Pixels read_associated_image(const std::string& name, uint32_t background);

 private:
  // Owns an openslide_t.
  class Handle;

  std::shared_ptr<Handle> open() const;
  std::shared_ptr<Handle> current();
  void drop(const std::shared_ptr<Handle>& handle);
  void read_info(const std::shared_ptr<Handle>& handle);
  template <typename Read>
  Pixels read_with_retry(Read&& read);

  const std::string path_;
  const std::shared_ptr<const OpenSlideLibrary> library_;
  SlideInfo info_;
  std::mutex mutex_;  // guards handle_
  std::shared_ptr<Handle> handle_;
};

/// Turns premultiplied ARGB into RGB over `background` (0xRRGGBB), in place.
void composite(uint32_t* pixels, size_t count, uint32_t background);

}  // namespace cleric
