// A lifting step (lift.cc) whose second layer goes by Winograd's minimal filtering (winograd.h): a quarter of its
// products, and other last bits.
//
// Tiles are four columns wide, and vectors run along the tiles of a row: so each row lies in four phases, of the first
// columns of all tiles, of the second ones, and so on, and what is next to a column of a tile is in the same lane of
// another phase, or of the next tile.
#include "cpu/kernels/lift.h"
#include "cpu/kernels/winograd.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// Hidden channels that accumulate at once.
constexpr int kHidden = LiftArgs::kHiddenGroup;

/// Rows of tiles: [phase][tile], with zeros at both ends of a phase.
struct PhaseRows {
  float* base;
  ptrdiff_t stride;

  /// The first tile of a phase, which may be one too low or too high: then it is of the tile before or after.
  CLERIC_INLINE float* phase(ptrdiff_t row, int phase) const {
    const ptrdiff_t own = phase & (kTileOutputs - 1);
    return base + (row * kTileOutputs + own) * stride + kLanes + (phase - own) / kTileOutputs;
  }
};

/// The hidden layer's last six rows of each channel.
struct Ring {
  PhaseRows rows;
  int hidden;

  /// The number of row y of a channel; y >= -1.
  CLERIC_INLINE ptrdiff_t row(ptrdiff_t y, int h) const { return (y + kTileInputs) % kTileInputs * hidden + h; }
};

/// Zeros around the tiles of a phase: its first lane is `from`.
CLERIC_INLINE void clear_ends(float* from, ptrdiff_t tiles, ptrdiff_t stride) {
  clear(from - kLanes, kLanes);
  clear(from + tiles, stride - kLanes - tiles);
}

/// Row y of the filter in phases. @param plain room for a row as the image has it
void filter_phases(const LiftArgs& a, ptrdiff_t plane, ptrdiff_t y, const PhaseRows& to, ptrdiff_t row, float* plain) {
  filter_row(a, plane, y, plain + kLanes, a.scratch_stride());
  const ptrdiff_t tiles = a.tiles();
  for (int p = 0; p < kTileOutputs; p++) {
    float* const out = to.phase(row, p);
    for (ptrdiff_t t = 0; t < tiles; t++) out[t] = plain[kLanes + t * kTileOutputs + p];
    clear_ends(out, tiles, to.stride);
  }
}

/// tanh(conv1) of row y; `above` is the number of the filter's row y - 1.
void first_layer(const LiftArgs& a, ptrdiff_t y, const PhaseRows& filter, ptrdiff_t above, const Ring& ring) {
  const ptrdiff_t tiles = a.tiles();
  const ptrdiff_t stride = ring.rows.stride;
  if (y < 0 || y >= a.output.height) {
    for (int h = 0; h < a.hidden; h++) clear(ring.rows.phase(ring.row(y, h), 0) - kLanes, kTileOutputs * stride);
    return;
  }
  for (int p = 0; p < kTileOutputs; p++) {
    const float* taps[9];
    for (int i = 0; i < 9; i++) taps[i] = filter.phase(above + i / 3, p + i % 3 - 1);
    for (int h = 0; h < a.hidden; h += kHidden) {
      for (ptrdiff_t t = 0; t < tiles; t += kWidth) {
        Floats sum[kHidden];
#pragma GCC unroll 8
        for (int o = 0; o < kHidden; o++) sum[o] = splat(a.bias1[h + o]);
        const float* w = a.weight1 + h;
        for (int i = 0; i < 9; i++, w += a.hidden) {
          const Floats v = load(taps[i] + t);
#pragma GCC unroll 8
          for (int o = 0; o < kHidden; o++) sum[o] = multiply_add(v, splat(w[o]), sum[o]);
        }
#pragma GCC unroll 8
        for (int o = 0; o < kHidden; o++) {
          store(ring.rows.phase(ring.row(y, h + o), p) + t, hyperbolic_tangent(sum[o]));
        }
      }
      for (int o = 0; o < kHidden; o++) clear_ends(ring.rows.phase(ring.row(y, h + o), p), tiles, stride);
    }
  }
}

/// Room for a register of tiles.
struct Room {
  /// [point][hidden channel][lane]
  float* points;
  /// [point][channel of a group][lane]
  float* sums;
  /// [row][column of a tile][lane]
  float* totals;
};

/// Adds conv3(tanh(conv2)) of the tiles from t on, whose rows begin with y, to the totals.
void second_layer(const LiftArgs& a, ptrdiff_t y, ptrdiff_t t, const Ring& ring, const Room& room) {
  const ptrdiff_t plane = a.hidden * kWidth;
  for (int h = 0; h < a.hidden; h++) {
    const float* rows[kTileInputs];
    for (int j = 0; j < kTileInputs; j++) rows[j] = ring.rows.phase(ring.row(y + j - 1, h), 0) + t;
    // Column i of the inputs is column i - 1 of the tile: the last one before it, its own, the first one after it.
    const auto at = [&](int j, int i) {
      const ptrdiff_t phase = i == 0 ? kTileOutputs - 1 : i > kTileOutputs ? 0 : i - 1;
      return rows[j] + phase * ring.rows.stride + (i == 0 ? -1 : i > kTileOutputs ? 1 : 0);
    };
    tile_to_points(at, room.points + h * kWidth, plane);
  }
  for (int h = 0; h < a.hidden; h += kHidden) {
    const float* w = a.tile_weight2 + h * kTilePoints * a.hidden;
    for (int p = 0; p < kTilePoints; p++) {
      Floats sum[kHidden];
#pragma GCC unroll 8
      for (int o = 0; o < kHidden; o++) sum[o] = splat(0.0f);
      const float* v = room.points + p * plane;
      for (int i = 0; i < a.hidden; i++, v += kWidth, w += kHidden) {
        const Floats point = load(v);
#pragma GCC unroll 8
        for (int o = 0; o < kHidden; o++) sum[o] = multiply_add(point, splat(w[o]), sum[o]);
      }
#pragma GCC unroll 8
      for (int o = 0; o < kHidden; o++) store(room.sums + (p * kHidden + o) * kWidth, sum[o]);
    }
    for (int o = 0; o < kHidden; o++) {
      const Floats bias = splat(a.bias2[h + o]);
      const Floats weight = splat(a.weight3[h + o]);
      tile_from_points(room.sums + o * kWidth, kHidden * kWidth, [&](int j, int i, Floats v) {
        float* const total = room.totals + (j * kTileOutputs + i) * kWidth;
        store(total, multiply_add(hyperbolic_tangent(v + bias), weight, load(total)));
      });
    }
  }
}

}  // namespace

void lift_tiles(const LiftArgs& a, int item, float* scratch) {
  const ptrdiff_t stride = a.phase_stride();
  const ptrdiff_t plane = item / a.rows.items();
  const int block = item % a.rows.items();
  const ptrdiff_t first = a.rows.first(block);
  const ptrdiff_t last = a.rows.last(block);
  const Ring ring{{scratch, stride}, a.hidden};
  // Row 0 is row first - 2 of the filter; there are last + 2 of them.
  const PhaseRows filter{scratch + ptrdiff_t{kTileInputs} * a.hidden * kTileOutputs * stride, stride};
  float* const plain = filter.base + (a.rows.per_item + 4) * kTileOutputs * stride;
  float* const sums = plain + a.scratch_stride();
  const Room room{sums, sums + kTilePoints * a.hidden * kWidth, sums + kTilePoints * (a.hidden + kHidden) * kWidth};
  const ptrdiff_t tiles = a.tiles();
  for (ptrdiff_t y = first - 2; y < last + 2; y++) filter_phases(a, plane, y, filter, y - first + 2, plain);
  for (ptrdiff_t y = first - 1; y <= first; y++) first_layer(a, y, filter, y - first + 1, ring);
  for (ptrdiff_t y = first; y < last; y += kTileOutputs) {
    for (ptrdiff_t v = y + 1; v <= y + kTileOutputs; v++) first_layer(a, v, filter, v - first + 1, ring);
    for (ptrdiff_t t = 0; t < tiles; t += kWidth) {
      for (int j = 0; j < kTileOutputs; j++) {
        for (int i = 0; i < kTileOutputs; i++) {
          const Floats f = load(filter.phase(y + j - first + 2, i) + t);
          store(room.totals + (j * kTileOutputs + i) * kWidth, f + splat(a.bias3));
        }
      }
      second_layer(a, y, t, ring, room);
      const ptrdiff_t count = tiles - t < kWidth ? tiles - t : kWidth;
      for (int j = 0; j < kTileOutputs; j++) {
        const ptrdiff_t x = t * kTileOutputs;
        const float* target = a.target.data + plane * a.target.channel + (y + j) * a.target.row + x;
        float* out = a.output.data + plane * a.output.channel + (y + j) * a.output.row + x;
        float* const total = room.totals + j * kTileOutputs * kWidth;
        if (t == 0) total[0] *= a.first_column_weight();
        if (t + count == tiles) total[(kTileOutputs - 1) * kWidth + count - 1] *= a.last_column_weight();
        const float weight = a.row_weight(y + j);
        for (ptrdiff_t k = 0; k < count; k++) {
          for (int i = 0; i < kTileOutputs; i++) {
            out[k * kTileOutputs + i] = target[k * kTileOutputs + i] + weight * total[i * kWidth + k];
          }
        }
      }
    }
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
