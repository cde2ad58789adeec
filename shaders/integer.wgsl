#include "tensor.wgsl"
// Integer layers. Their tensors hold integral values below 2^24 in magnitude, which f32 holds exactly; an activation
// is in -2048 .. 2047.
//
// A float between 2^23 and 2^24 has its integer in its lowest bits: MAGIC, 1.5 2^23, brings any integer below 2^22 in
// magnitude there. i32(), which must clamp what may be out of its range, costs ten times as much on SwiftShader.
const MAGIC = 12582912.0;
const MAGIC_BITS = 1262485504; // of MAGIC as an i32

// For |v| < 2^22.
fn toInteger(v: vec4f) -> vec4i {
  return bitcast<vec4i>(v + MAGIC) - MAGIC_BITS;
}

// For activations, and whatever else is below 2^22 in magnitude.
fn loadSmall(t: texture_2d_array<f32>, x: i32, y: i32, layer: i32) -> vec4i {
  return toInteger(load(t, x, y, layer));
}

fn loadInteger(t: texture_2d_array<f32>, x: i32, y: i32, layer: i32) -> vec4i {
  return vec4i(load(t, x, y, layer));
}

fn clamp12(v: vec4i) -> vec4i {
  return clamp(v, vec4i(-2048), vec4i(2047));
}

// An entry of a table of 4096, which has 64 a row.
fn entry(t: texture_2d_array<i32>, index: i32) -> i32 {
  let i = clamp(index, 0, 4095);
  return textureLoad(t, vec2i(i & 63, i >> 6), 0, 0).x;
}

fn entries(t: texture_2d_array<i32>, i: vec4i) -> vec4i {
  return vec4i(entry(t, i.x), entry(t, i.y), entry(t, i.z), entry(t, i.w));
}
