#include "cpu/steps/weights.h"

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

}  // namespace cleric::cpu
