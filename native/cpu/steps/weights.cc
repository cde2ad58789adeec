#include "cpu/steps/weights.h"

#include <array>

namespace cleric::cpu {

std::vector<std::pair<int, int>> cut_panels(const KernelTable& kernels, int lanes) {
  std::vector<std::pair<int, int>> panels;
  const int most = kernels.panel_registers;
  int lane = 0;
  for (int left = lanes / kernels.width; left > 0;) {
    // One register more than a panel has is better divided in halves than into a full panel and a single register.
    const int registers = left >= most && left != most + 1 ? most : left > most ? (left + 1) / 2 : left;
    panels.emplace_back(lane, registers);
    lane += registers * kernels.width;
    left -= registers;
  }
  return panels;
}

std::vector<std::size_t> filter_order(const std::vector<int>& splits, std::size_t taps, int unit) {
  std::vector<std::size_t> order;
  std::size_t first = 0;
  for (const int split : splits) {
    const auto channels = static_cast<std::size_t>(split);
    const auto steps = static_cast<std::size_t>((split + unit - 1) / unit * unit);
    for (std::size_t t = 0; t < taps; t++) {
      for (std::size_t c = 0; c < steps; c++) order.push_back(c < channels ? (first + c) * taps + t : kNoStep);
    }
    first += channels;
  }
  return order;
}

std::string conv_key(std::string start, const std::vector<int>& splits, int kernel, int shuffle, int channels) {
  const auto extend = [&](int number) { start.append(",").append(std::to_string(number)); };
  extend(kernel);
  extend(shuffle);
  extend(channels);
  for (const int split : splits) extend(split);
  return start;
}

namespace {

/// Three taps along one axis, at the points of Winograd's F(4, 3): 0, 1, -1, 2, -2 and infinity.
std::array<double, kTileInputs> at_points(double a, double b, double c) {
  return {a / 4, -(a + b + c) / 6, -(a - b + c) / 6, (a + 2 * b + 4 * c) / 24, (a - 2 * b + 4 * c) / 24, c};
}

}  // namespace

void filter_at_points(const float* filter, float* out) {
  std::array<std::array<double, kTileInputs>, 3> rows;
  for (std::size_t y = 0; y < 3; y++) rows[y] = at_points(filter[3 * y], filter[3 * y + 1], filter[3 * y + 2]);
  for (std::size_t x = 0; x < kTileInputs; x++) {
    const auto column = at_points(rows[0][x], rows[1][x], rows[2][x]);
    for (std::size_t y = 0; y < kTileInputs; y++) out[y * kTileInputs + x] = static_cast<float>(column[y]);
  }
}

}  // namespace cleric::cpu
