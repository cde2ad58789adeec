// Host bytes r, g, b interleaved, four a word, into a tensor of values / 255.
@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>; // one layer

struct Params {
  width: i32,
  height: i32,
}

#include "texel.wgsl"

fn element(i: i32) -> f32 {
  return f32(extractBits(data[tileStart(arrayLength(&data)) + i / 4], u32(i % 4) * 8u, 8u)) / 255.0;
}

fn texel(at: vec3i) -> vec4f {
  let i = 3 * (at.y * p.width + at.x);
  return vec4f(element(i), element(i + 1), element(i + 2), 0.0);
}
