// Where the values of a tensor stand among those of a port in coding order: channel by channel, in each the positions of
// one half of the checkerboard row by row. Two neighbouring rows have as many of either half as a row has columns.
#include "checkerboard.wgsl"

// Positions of a half: anchors (1) or the others (2).
fn halfSize(half: i32, width: i32, height: i32) -> i32 {
  return select(width * height - width * height / 2, width * height / 2, half == 1);
}

// Those in the first of two rows.
fn inEvenRow(half: i32, width: i32) -> i32 {
  return select((width + 1) / 2, width / 2, half == 1);
}

// The number of a position among those of its half.
fn rankOf(half: i32, x: i32, y: i32, width: i32) -> i32 {
  return y / 2 * width + (y % 2) * inEvenRow(half, width) + x / 2;
}

// The inverse: column and row.
fn positionOf(half: i32, rank: i32, width: i32) -> vec2i {
  let within = rank % width;
  let even = inEvenRow(half, width);
  let odd = i32(within >= even);
  let y = rank / width * 2 + odd;
  let x = 2 * (within - odd * even) + ((y + half) & 1);
  return vec2i(x, y);
}
