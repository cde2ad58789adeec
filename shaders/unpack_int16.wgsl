// Host int16, two a word, into a tensor.
@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>; // channels / 4

#define ACTIVATION 0 // 1: into activations
struct Params {
  width: i32,
  height: i32,
  channels: i32,
#if ACTIVATION
  activationShift: i32,
#end
}

#define ORDER 0 // as in pack_int16.wgsl
#include "texel.wgsl"
#if ORDER
#include "coding_order.wgsl"
#end
#if ACTIVATION
#include "activations.wgsl"
#end

fn element(i: i32) -> f32 {
  return f32(extractBits(i32(data[tileStart(arrayLength(&data)) + i / 2]), u32(i % 2) * 16u, 16u));
}

fn texel(at: vec3i) -> vec4f {
#if ORDER
  let half = select(2, 1, isAnchor(at.x, at.y));
  let size = halfSize(half, p.width, p.height);
  let first = rankOf(half, at.x, at.y, p.width) + (half - 1) * ${ORDER / 3} * p.channels * halfSize(1, p.width, p.height);
  let isThere = ${ORDER} == 3 || half == ${ORDER};
#else
  let size = p.width * p.height;
  let first = at.y * p.width + at.x;
  let isThere = true;
#end
  var v = vec4f(0.0);
#for i in 0..4
  if (isThere && 4 * at.z + ${i} < p.channels) { v.${xyzw(i)} = element((4 * at.z + ${i}) * size + first); }
#end
#if ACTIVATION
  return activationsOf(vec4i(v), p.activationShift);
#else
  return v;
#end
}
