// A libopenslide for tests: the same C interface over slides that no scanner makes.
// CLERIC_OPENSLIDE points to it. test/slide/openslide-double.test.ts is its only user.
//
// Its "slides" are text files that begin with "fake"; the words after it are options:
//   damaged           opens, but in the error state
//   levels=0          without levels
//   background=RRGGBB the property
//   slow=MS           each read takes so long
//   icc=N, icc=bad    an ICC profile of N bytes 0, 1, 2 ...; one that can't be read
//
// Level 0 is 2000 x 2000, level 1 half of that. A pixel at level-0 (x, y) inside it
// has alpha x mod 256 and the colours red = alpha, green = alpha / 2, blue = 0,
// premultiplied; reading any column from 1000 to 1099 puts the handle into the error
// state, in which, as in the real one, it stays. The associated image "dot" is one
// half-transparent pixel; "huge" claims 2^20 x 2^20 pixels; "lost" is listed but fails.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int64_t kSide = 2000;

// How many handles are open, to be seen in the property fake.open-handles.
std::atomic<int> open_handles{0};

}  // namespace

struct openslide_t {
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> properties;
  std::vector<const char*> property_names;
  std::mutex mutex;
  std::string error_text;
  std::atomic<const char*> error{nullptr};

  bool has(const char* option) const { return options.count(option) > 0; }
  int number(const char* option) const { return has(option) ? std::atoi(options.at(option).c_str()) : 0; }

  void fail(const std::string& text) {
    const std::lock_guard lock(mutex);
    if (error.load() != nullptr) return;
    error_text = text;
    error.store(error_text.c_str());
  }
};

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT openslide_t* openslide_open(const char* path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word) || word != "fake") return nullptr;
  auto* slide = new openslide_t;
  while (file >> word) {
    const size_t equals = word.find('=');
    slide->options[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  slide->properties = {{"openslide.vendor", "fake"},
                       {"openslide.mpp-x", "0.25"},
                       {"openslide.mpp-y", "0.5"},
                       {"openslide.objective-power", "40"},
                       {"__proto__", "harmless"},
                       {"fake.not-utf8", "caf\xE9"},
                       {"fake.open-handles", std::to_string(open_handles.fetch_add(1) + 1)}};
  if (slide->has("background")) slide->properties["openslide.background-color"] = slide->options["background"];
  for (const auto& property : slide->properties) slide->property_names.push_back(property.first.c_str());
  slide->property_names.push_back(nullptr);
  if (slide->has("damaged")) slide->fail("fake damage");
  return slide;
}

EXPORT void openslide_close(openslide_t* slide) {
  open_handles.fetch_sub(1);
  delete slide;
}

EXPORT const char* openslide_get_error(openslide_t* slide) {
  return slide->error.load();
}

EXPORT const char* openslide_get_version() {
  return "fake-9.9";
}

EXPORT int32_t openslide_get_level_count(openslide_t* slide) {
  return slide->has("levels") ? slide->number("levels") : 2;
}

EXPORT void openslide_get_level_dimensions(openslide_t*, int32_t level, int64_t* width, int64_t* height) {
  *width = *height = kSide >> level;
}

EXPORT double openslide_get_level_downsample(openslide_t*, int32_t level) {
  return 1 << level;
}

EXPORT void openslide_read_region(openslide_t* slide, uint32_t* pixels, int64_t x, int64_t y, int32_t level,
                                  int64_t width, int64_t height) {
  if (slide->has("slow")) std::this_thread::sleep_for(std::chrono::milliseconds(slide->number("slow")));
  std::memset(pixels, 0, static_cast<size_t>(width * height) * 4);
  if (x < 1100 && x + (width << level) > 1000) slide->fail("fake bad tile");
  if (slide->error.load() != nullptr) return;
  for (int64_t row = 0; row < height; row++) {
    for (int64_t column = 0; column < width; column++, pixels++) {
      const int64_t at_x = x + (column << level);
      const int64_t at_y = y + (row << level);
      if (at_x < 0 || at_y < 0 || at_x >= kSide || at_y >= kSide) continue;
      const auto alpha = static_cast<uint32_t>(at_x & 255);
      *pixels = alpha << 24 | alpha << 16 | alpha / 2 << 8;
    }
  }
}

EXPORT const char* const* openslide_get_property_names(openslide_t* slide) {
  return slide->property_names.data();
}

EXPORT const char* openslide_get_property_value(openslide_t* slide, const char* name) {
  const auto property = slide->properties.find(name);
  return property == slide->properties.end() ? nullptr : property->second.c_str();
}

EXPORT const char* const* openslide_get_associated_image_names(openslide_t*) {
  static const char* const names[] = {"dot", "huge", "lost", nullptr};
  return names;
}

EXPORT void openslide_get_associated_image_dimensions(openslide_t* slide, const char* name, int64_t* width,
                                                      int64_t* height) {
  *width = *height = -1;
  if (std::strcmp(name, "lost") == 0) slide->fail("fake lost image");
  if (std::strcmp(name, "dot") == 0) *width = *height = 1;
  if (std::strcmp(name, "huge") == 0) *width = *height = int64_t{1} << 20;
}

EXPORT void openslide_read_associated_image(openslide_t*, const char*, uint32_t* pixels) {
  *pixels = 0x80402000;
}

EXPORT int64_t openslide_get_icc_profile_size(openslide_t* slide) {
  if (slide->has("icc") && slide->options["icc"] == "bad") {
    slide->fail("fake bad profile");
    return -1;
  }
  return slide->number("icc");
}

EXPORT void openslide_read_icc_profile(openslide_t* slide, void* bytes) {
  for (int i = 0; i < slide->number("icc"); i++) static_cast<uint8_t*>(bytes)[i] = static_cast<uint8_t>(i);
}
