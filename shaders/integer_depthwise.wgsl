// 3x3 convolution of integers, every channel by itself.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4, activations
@group(0) @binding(1) var weights: texture_2d_array<i32>; // 9 taps, bias and half a step of the shift, shift x channel groups
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;
#define TABLE 0
#if TABLE
@group(0) @binding(4) var table: texture_2d_array<i32>; // 64 x 64, in x
#end

struct Params {
  width: i32,
  height: i32,
}

#include "texel.wgsl"
#include "integer.wgsl"

fn texel(at: vec3i) -> vec4f {
  var sum = textureLoad(weights, vec2i(9, at.z), 0, 0);
  let shift = vec4u(textureLoad(weights, vec2i(10, at.z), 0, 0));
#for k in 0..9
  sum += loadSmall(source, at.x + ${k % 3 - 1}, at.y + ${k / 3 - 1}, at.z) * textureLoad(weights, vec2i(${k}, at.z), 0, 0);
#end
  var v = clamp12(sum >> shift);
#if TABLE
  // A shift of 31 marks channels that aren't there, whatever the table has at 0.
  v = select(entries(table, v + 2048), vec4i(0), shift == vec4u(31));
#end
  return vec4f(v);
}
