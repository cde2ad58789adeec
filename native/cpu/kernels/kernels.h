// The kernels: their list, what each is given, and the table of them that each instruction set fills.
//
// The sources in this folder are compiled once for each instruction set, and nothing else is. A kernel does one item
// of work, numbered from 0; items are independent, and how many there are depends on the tensors alone, never on the
// number of threads: so neither does any result.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/kernels/tensor.h"

namespace cleric::cpu {

/// Half of the checkerboard, or both; numbered in plans, as activations are. The names are TypeScript's.
#define CLERIC_HALVES(HALF) \
  HALF(all, "all")          \
  HALF(anchor, "anchor")    \
  HALF(non_anchor, "nonAnchor")

#define CLERIC_ACTIVATIONS(ACTIVATION) \
  ACTIVATION(none, "none")             \
  ACTIVATION(gelu, "gelu")

#define CLERIC_ENUMERATOR(value, name) value,

enum class Half : int { CLERIC_HALVES(CLERIC_ENUMERATOR) };

/// Whether (row, column) is in the half; anchors are where row + column is odd.
CLERIC_INLINE bool kept(Half half, std::ptrdiff_t y, std::ptrdiff_t x) {
  return half == Half::all || (((y + x) & 1) != 0) == (half == Half::anchor);
}

/// What becomes of the sums of a matrix product: an activation, or GDN (`factor` / sqrt(sum)), or its inverse
/// (`factor` * sqrt(sum)).
enum class Finish : int { CLERIC_ACTIVATIONS(CLERIC_ENUMERATOR) divide_root, multiply_root };

/// Rows that are divided into items, each a block of rows.
struct Rows {
  int count = 0;
  int per_item = 1;

  CLERIC_INLINE int items() const { return (count + per_item - 1) / per_item; }
  CLERIC_INLINE int first(int item) const { return item * per_item; }
  CLERIC_INLINE int last(int item) const { return first(item) + per_item < count ? first(item) + per_item : count; }
};

/// A stretch of the inner dimension that lies contiguous in memory: at output pixel
/// (y, x) it starts at data + y * row + x * step.
template <typename Element>
struct BasicRun {
  const Element* data;
  std::ptrdiff_t row;
  std::ptrdiff_t step;
  std::ptrdiff_t length;
};
using Run = BasicRun<float>;
using IntegerRun = BasicRun<int16_t>;

/// Output channels whose weights are packed together: inner x (registers * width).
template <typename Element>
struct BasicPanel {
  const Element* weights;
  int first_lane;
  int registers;
};
using Panel = BasicPanel<float>;
using IntegerPanel = BasicPanel<int16_t>;

/// Lanes of the widest panel of any instruction set.
constexpr int kPanelLanes = 48;

/// Where sums go: out = residual + finish(sum), pixel-shuffled. Sums have
/// out.pixel * shuffle^2 lanes: for each sub-pixel, row-major, the output's channels.
struct Epilogue {
  Finish finish = Finish::none;
  int shuffle = 1;
  View out;
  View residual;
  View factor;
};

struct MatrixArgs {
  const Run* runs = nullptr;
  int run_count = 0;
  const Panel* panels = nullptr;
  int panel_count = 0;
  /// How many panels an item works on.
  int panels_per_item = 0;
  const float* bias = nullptr;
  /// Rows of sums, that is, before the shuffle.
  Rows rows;
  int width = 0;
  Epilogue epilogue;

  CLERIC_INLINE int panel_blocks() const { return (panel_count + panels_per_item - 1) / panels_per_item; }
  /// Room for the sums of a row of one panel between two passes.
  CLERIC_INLINE std::ptrdiff_t scratch() const { return std::ptrdiff_t{width} * kPanelLanes; }
};

/// Winograd's minimal filtering F(4 x 4, 3 x 3): sides of what is made together and of the inputs for it, and the points
/// at which their polynomials are evaluated.
constexpr int kTileOutputs = 4;
constexpr int kTileInputs = 6;
constexpr int kTilePoints = kTileInputs * kTileInputs;

/// A conv3x3 of stride 1 by Winograd's minimal filtering: sixteen outputs for 36 products in place of 144. Depth of the
/// matrix: points, channels.
struct WinogradArgs {
  View input;
  /// Its runs are not used. Height, rows of an item and width divide by kTileOutputs.
  MatrixArgs matrix;

  /// Tiles that an item works on at a time, about: weights should pass by many, but their points should fit into the
  /// second-level cache.
  static constexpr int kTiles = 32;

  CLERIC_INLINE int tiles() const { return matrix.width / kTileOutputs; }
  /// Tiles of a row that an item works on at a time.
  CLERIC_INLINE int strip() const { return tiles() < kTiles / 2 ? tiles() : kTiles / 2; }
  /// Points and sums of a strip of the item's rows.
  CLERIC_INLINE std::ptrdiff_t scratch() const {
    return std::ptrdiff_t{kTilePoints} * strip() * (matrix.rows.per_item / kTileOutputs) * (input.pixel + kPanelLanes);
  }
};

struct DeformArgs {
  View input;
  View offsets;
  int stride = 1;
  /// How many pixels, all of one row, an item works on.
  int block = 0;
  /// The product of weights and samples; its runs are not used.
  MatrixArgs matrix;

  CLERIC_INLINE int blocks() const { return (matrix.width + block - 1) / block; }
  CLERIC_INLINE std::ptrdiff_t scratch() const { return (9 * input.pixel + kPanelLanes) * block; }
};

struct GdnArgs {
  View input;
  MatrixArgs matrix;

  CLERIC_INLINE std::ptrdiff_t scratch() const { return matrix.width * (input.pixel + kPanelLanes); }
};

struct LiftArgs {
  View source;
  View target;
  View output;
  /// Samples pair along rows of the image (else along columns).
  bool along_rows = false;
  bool next = false;
  float factor = 0;
  float sign = 0;
  /// Along the axis: what the source's last sample is multiplied by, and what is added to the first and last one.
  float source_end = 1;
  float first_end = 1;
  float last_end = 1;
  /// Hidden channels, padded to a multiple of 8.
  int hidden = 0;
  /// The three layers: conv1 [9][hidden], conv2 [hidden in][9][hidden out], conv3 [hidden], each with its bias.
  const float* weight1 = nullptr;
  const float* bias1 = nullptr;
  const float* weight2 = nullptr;
  const float* bias2 = nullptr;
  const float* weight3 = nullptr;
  float bias3 = 0;
  /// Of lift_tiles: conv2 [group of kHiddenGroup out][point][hidden in][kHiddenGroup]; height, rows of an item and width
  /// divide by kTileOutputs.
  const float* tile_weight2 = nullptr;
  /// Rows of one channel. There is an item for each channel and each block of its rows.
  Rows rows;

  /// What all that is added to row y is multiplied by.
  CLERIC_INLINE float row_weight(std::ptrdiff_t y) const {
    const float first = along_rows && y == 0 ? first_end : 1;
    const float last = along_rows && y == output.height - 1 ? last_end : 1;
    return sign * first * last;
  }
  /// And what is added to the first and to the last column besides.
  CLERIC_INLINE float first_column_weight() const { return along_rows ? 1 : first_end; }
  CLERIC_INLINE float last_column_weight() const { return along_rows ? 1 : last_end; }

  /// A row of scratch: zeros left of column 0, the columns, zeros and room for a block that overhangs.
  CLERIC_INLINE std::ptrdiff_t scratch_stride() const { return kLanes + padded(output.width) + 3 * kLanes; }
  /// A ring of three hidden rows, the filter of the item's rows and two more on each side, one row of sums.
  CLERIC_INLINE std::ptrdiff_t scratch() const { return (3 * hidden + rows.per_item + 5) * scratch_stride(); }

  static constexpr int kHiddenGroup = 8;
  CLERIC_INLINE int tiles() const { return output.width / kTileOutputs; }
  /// A phase of a row of tiles: zeros, the tiles, zeros and room for a register that overhangs.
  CLERIC_INLINE std::ptrdiff_t phase_stride() const { return kLanes + padded(tiles()) + kLanes; }
  /// A ring of six hidden rows, the filter of the item's rows and two more on each side, a row of it as the image has it,
  /// a register of points, sums and totals.
  CLERIC_INLINE std::ptrdiff_t tiles_scratch() const {
    return (kTileInputs * hidden + rows.per_item + 4) * kTileOutputs * phase_stride() + scratch_stride() +
           (std::ptrdiff_t{kTilePoints} * (hidden + kHiddenGroup) + kTileOutputs * kTileOutputs) * kLanes;
  }
};

/// Means and y_hat are integers that count this many to a step of the latent.
constexpr float kLatentSteps = 64;

enum class Pointwise : int { scale, add, round, gain, scale_index, quantise, dequantise };

struct PointwiseArgs {
  Pointwise op = Pointwise::scale;
  View input;
  /// add: addend; gain: factors; quantise, dequantise: entropy parameters.
  View second;
  /// dequantise: values of the other half, if any; quantise: indexes of the scales.
  View third;
  View output;
  float factor = 1;
  Half keep = Half::all;
  /// quantise: first channel of the input.
  int first = 0;
  /// scale_index: thresholds; quantise: dead zones.
  const float* table = nullptr;
  int table_size = 0;
  /// The rows of an interleaved tensor; those of all channels of a planar one.
  Rows rows;
};

/// Integer layers: the nodes of the same names in src/network/ops say what each computes.
struct IntegerConvArgs {
  const IntegerRun* runs = nullptr;
  int run_count = 0;
  const IntegerPanel* panels = nullptr;
  int panel_count = 0;
  int panels_per_item = 0;
  /// A number for each lane, in the order of Epilogue's lanes. The bias includes half of 2^shift, so that the shift
  /// rounds.
  const int32_t* bias = nullptr;
  const int32_t* shift = nullptr;
  /// Replaces each value in -2048 .. 2047 by entry value + 2048; null for no such table.
  const int16_t* table = nullptr;
  bool wide = false;
  int shuffle = 1;
  Half keep = Half::all;
  /// Pixels outside this half may be left as they are.
  Half needed = Half::all;
  MixedView out;
  MixedView residual;
  Rows rows;
  int width = 0;

  CLERIC_INLINE int panel_blocks() const { return (panel_count + panels_per_item - 1) / panels_per_item; }
  CLERIC_INLINE std::ptrdiff_t out_pixel() const { return out.narrow.data ? out.narrow.pixel : out.wide.pixel; }
  CLERIC_INLINE std::ptrdiff_t scratch() const { return std::ptrdiff_t{width} * kPanelLanes; }
};

struct IntegerDepthwiseArgs {
  IntegerView input;
  IntegerView output;
  /// [9][padded channels]
  const int16_t* weights = nullptr;
  /// Includes half of 2^shift.
  const int32_t* bias = nullptr;
  const int32_t* shift = nullptr;
  const int16_t* table = nullptr;
  Rows rows;
};

struct RequantiseArgs {
  View input;
  IntegerView output;
  int shift = 0;
  Rows rows;
};

constexpr int kMaxNormChannels = 512;

struct IntegerLayerNormArgs {
  MixedView input;
  IntegerView output;
  const int32_t* weight = nullptr;
  /// Includes half of 2^shift.
  const int32_t* bias = nullptr;
  const int32_t* shift = nullptr;
  /// 384 reciprocal square roots.
  const int32_t* rsqrt = nullptr;
  uint32_t epsilon = 0;
  Rows rows;
};

/// Entries of a table that is indexed by 12 bits.
constexpr int kTableSize = 4096;
/// The sums of the attentions are proven not to overflow up to these sizes.
constexpr int kMaxHeadChannels = 256;
constexpr int kMaxPositions = 4096;

/// Positions of an attention window, and the lanes that its queries take.
constexpr int kWindow = 25;
constexpr int kQueryLanes = 32;

struct WindowAttentionArgs {
  IntegerView qkv;
  IntegerView output;
  int heads = 1;
  int shift = 0;
  /// [heads][25 keys][kQueryLanes queries], the position bias of each pair.
  const int32_t* bias = nullptr;
  const int16_t* exp = nullptr;
  Rows rows;

  /// Words for: pairs of queries and keys, values and their quadruples, logits.
  CLERIC_INLINE std::ptrdiff_t scratch() const {
    const std::ptrdiff_t lanes = padded(output.channels / heads);
    return lanes / 2 * (kQueryLanes + kWindow) + kWindow * lanes + kWindow * kQueryLanes;
  }
};

struct LinearAttentionArgs {
  IntegerView query;
  IntegerView key;
  IntegerView value;
  IntegerView output;
  int shift = 0;
  const int16_t* exp = nullptr;
  bool split = false;
  /// An item is a head.
  int heads = 1;

  /// Words for: largest keys, sums, a query and its result, the context, a weight of each position and channel.
  CLERIC_INLINE std::ptrdiff_t scratch() const {
    const std::ptrdiff_t lanes = padded(output.channels / heads);
    return (4 + lanes + std::ptrdiff_t{output.height} * output.width) * lanes;
  }
};

/// Multiply-adds in registers alone, as many as a processor can do at most.
struct PeakArgs {
  int rounds = 0;

  /// Multiply-adds that wait for nothing. One takes four or five cycles and two begin in each, so ten chains keep the
  /// units at work; with two operands, twelve fit into 16 registers.
  static constexpr int kChains = 12;
  static CLERIC_INLINE std::ptrdiff_t scratch() { return 1; }
};

/// The kernels: each is a function of this name in a file of this folder, with these arguments. All else that names
/// them one by one derives from this list: their declarations, the table and what each instruction set puts into it.
#define CLERIC_KERNELS(KERNEL)                     \
  KERNEL(matrix, MatrixArgs)                       \
  KERNEL(winograd, WinogradArgs)                   \
  KERNEL(deform, DeformArgs)                       \
  KERNEL(gdn, GdnArgs)                             \
  KERNEL(lift, LiftArgs)                           \
  KERNEL(lift_tiles, LiftArgs)                     \
  KERNEL(pointwise, PointwiseArgs)                 \
  KERNEL(integer_conv, IntegerConvArgs)            \
  KERNEL(integer_depthwise, IntegerDepthwiseArgs)  \
  KERNEL(requantise, RequantiseArgs)               \
  KERNEL(integer_layer_norm, IntegerLayerNormArgs) \
  KERNEL(window_attention, WindowAttentionArgs)    \
  KERNEL(linear_attention, LinearAttentionArgs)    \
  KERNEL(peak, PeakArgs)

/// The kernels of one instruction set.
struct KernelTable {
  const char* name;
  /// How many floats a register holds.
  int width;
  /// How many registers of output channels a panel has at most.
  int panel_registers;
  /// How weights of integers are packed: kInterleavedPairs in integers.h.
  bool interleaved_pairs;
#define CLERIC_FIELD(kernel, Args) void (*kernel)(const Args&, int item, float* scratch);
  CLERIC_KERNELS(CLERIC_FIELD)
#undef CLERIC_FIELD
};

}  // namespace cleric::cpu
