#include "slide/slide.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace cleric {

namespace {

// An ICC profile of a scanner is some kilobytes; a size beyond this is a broken file.
constexpr int64_t kMaxIccBytes = int64_t{1} << 26;

[[noreturn]] void cannot_open(const std::string& path, const std::string& reason) {
  throw SlideError("ERR_OPENSLIDE_READ", "Can't open slide " + path + ": " + reason);
}

// OpenSlide calls all of these "not a slide"; the reasons given here say more.
void check_file(const std::string& path) {
  const std::filesystem::path file(std::u8string(path.begin(), path.end()));
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found) cannot_open(path, "no such file");
  if (error) cannot_open(path, error.message());
  if (std::filesystem::is_directory(status)) {
    throw SlideError("ERR_UNSUPPORTED_SLIDE", "Can't open slide " + path + ": it is a directory");
  }
  if (!std::ifstream(file, std::ios::binary)) cannot_open(path, "it can't be read (permissions?)");
}

std::vector<std::string> strings(const char* const* list) {
  std::vector<std::string> result;
  for (; list != nullptr && *list != nullptr; list++) result.emplace_back(*list);
  return result;
}

std::unique_ptr<uint32_t[]> buffer_for(int64_t width, int64_t height) {
  if (width < 1 || height < 1 || width > kMaxPixels || height > kMaxPixels / width) {
    throw std::invalid_argument("an image of " + std::to_string(width) + " x " + std::to_string(height) +
                                " pixels is outside 1 .. 2^28 pixels");
  }
  return std::make_unique_for_overwrite<uint32_t[]>(static_cast<size_t>(width) * static_cast<size_t>(height));
}

}  // namespace

class Slide::Handle {
 public:
  Handle(std::shared_ptr<const OpenSlideLibrary> library, openslide_t* slide)
      : library_(std::move(library)), slide_(slide) {}
  ~Handle() { library_->close(slide_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  openslide_t* get() const { return slide_; }

  /// OpenSlide's text if the handle has failed, else empty.
  std::string error() const {
    const char* text = library_->get_error(slide_);
    return text == nullptr ? "" : text;
  }

 private:
  const std::shared_ptr<const OpenSlideLibrary> library_;
  openslide_t* const slide_;
};

Slide::Slide(std::string path, const std::string& library)
    : path_(std::move(path)), library_(OpenSlideLibrary::load(library)) {
  check_file(path_);
  handle_ = open();
  read_info(handle_);
}

std::shared_ptr<Slide::Handle> Slide::open() const {
  openslide_t* slide = library_->open(path_.c_str());
  if (slide == nullptr) {
    throw SlideError("ERR_UNSUPPORTED_SLIDE", "Can't open slide " + path_ + ": OpenSlide " + library_->get_version() +
                                                  " knows no slide format that it is in");
  }
  auto handle = std::make_shared<Handle>(library_, slide);
  const std::string error = handle->error();
  if (!error.empty()) cannot_open(path_, error);
  return handle;
}

void Slide::read_info(const std::shared_ptr<Handle>& handle) {
  openslide_t* slide = handle->get();
  info_.library_version = library_->get_version();
  const int32_t levels = library_->get_level_count(slide);
  for (int32_t level = 0; level < levels; level++) {
    int64_t width = 0;
    int64_t height = 0;
    library_->get_level_dimensions(slide, level, &width, &height);
    info_.levels.push_back({width, height, library_->get_level_downsample(slide, level)});
  }
  for (const std::string& name : strings(library_->get_property_names(slide))) {
    const char* value = library_->get_property_value(slide, name.c_str());
    info_.properties.emplace_back(name, value == nullptr ? "" : value);
  }
  info_.associated_images = strings(library_->get_associated_image_names(slide));
  const std::string error = handle->error();
  if (!error.empty()) cannot_open(path_, error);
  const auto bad_level = [](const Level& level) {
    return level.width < 1 || level.height < 1 || !(level.downsample > 0);
  };
  if (info_.levels.empty() || std::any_of(info_.levels.begin(), info_.levels.end(), bad_level)) {
    cannot_open(path_, "OpenSlide gives it no levels, or one without pixels");
  }

  if (library_->get_icc_profile_size == nullptr || library_->read_icc_profile == nullptr) return;
  const int64_t size = library_->get_icc_profile_size(slide);
  if (size > kMaxIccBytes) {
    info_.icc_error = "a profile of " + std::to_string(size) + " bytes can't be one";
  } else if (size > 0) {
    info_.icc_profile.resize(static_cast<size_t>(size));
    library_->read_icc_profile(slide, info_.icc_profile.data());
  }
  const std::string icc_error = handle->error();
  if (icc_error.empty()) return;
  // The pixels may be fine: the next read opens the slide afresh.
  info_.icc_error = icc_error;
  info_.icc_profile.clear();
  drop(handle);
}

std::shared_ptr<Slide::Handle> Slide::current() {
  const std::lock_guard lock(mutex_);
  if (!handle_) handle_ = open();
  return handle_;
}

void Slide::drop(const std::shared_ptr<Handle>& handle) {
  const std::lock_guard lock(mutex_);
  if (handle_ == handle) handle_.reset();
}

template <typename Read>
Pixels Slide::read_with_retry(Read&& read) {
  const std::shared_ptr<Handle> shared = current();
  Pixels pixels = read(shared->get());
  if (shared->error().empty()) return pixels;
  drop(shared);

  const std::shared_ptr<Handle> own = open();
  pixels = read(own->get());
  const std::string error = own->error();
  if (!error.empty()) throw SlideError("ERR_OPENSLIDE_READ", "Can't read slide " + path_ + ": " + error);
  return pixels;
}

Pixels Slide::read_region(int64_t x, int64_t y, int32_t level, int64_t width, int64_t height, uint32_t background) {
  if (std::max(std::abs(x), std::abs(y)) > kMaxCoordinate) throw std::invalid_argument("a coordinate beyond 2^40");
  if (level < 0 || static_cast<size_t>(level) >= info_.levels.size()) throw std::invalid_argument("no such level");
  Pixels pixels = read_with_retry([&](openslide_t* slide) {
    Pixels region{buffer_for(width, height), width, height};
    library_->read_region(slide, region.storage.get(), x, y, level, width, height);
    return region;
  });
  composite(pixels.storage.get(), pixels.byte_length() / 3, background);
  return pixels;
}

Pixels Slide::read_associated_image(const std::string& name, uint32_t background) {
  Pixels pixels = read_with_retry([&](openslide_t* slide) -> Pixels {
    int64_t width = -1;
    int64_t height = -1;
    library_->get_associated_image_dimensions(slide, name.c_str(), &width, &height);
    // A failed handle says -1; its text is of more use than the size.
    if (width < 0 && library_->get_error(slide) != nullptr) return {nullptr, 0, 0};
    Pixels image{buffer_for(width, height), width, height};
    library_->read_associated_image(slide, name.c_str(), image.storage.get());
    return image;
  });
  composite(pixels.storage.get(), pixels.byte_length() / 3, background);
  return pixels;
}

void composite(uint32_t* pixels, size_t count, uint32_t background) {
  // Three bytes are written for each four read, so the writing never overtakes the reading.
  auto* out = reinterpret_cast<uint8_t*>(pixels);
  for (size_t i = 0; i < count; i++, out += 3) {
    const uint32_t pixel = pixels[i];
    const uint32_t hole = 255 - (pixel >> 24);
    for (int channel = 0; channel < 3; channel++) {
      const int shift = 16 - 8 * channel;
      const uint32_t value = pixel >> shift & 0xFF;
      const uint32_t behind = background >> shift & 0xFF;
      // Premultiplied: value <= alpha, so the sum is at most 255, but a file may lie.
      out[channel] = static_cast<uint8_t>(hole == 0 ? value : std::min(value + (behind * hole + 127) / 255, 255u));
    }
  }
}

}  // namespace cleric
