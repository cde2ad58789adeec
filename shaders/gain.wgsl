// output = source * factors, a factor a channel.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
#define FROM_HOST 0 // 1: the factors are where the host has put them
#if FROM_HOST
@group(0) @binding(1) var<storage, read> factors: array<f32>; // see factors.wgsl
#else
@group(0) @binding(1) var factors: texture_2d_array<f32>; // channels / 4, 1 x 1
#end
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
}

#include "texel.wgsl"
#if FROM_HOST
#include "factors.wgsl"
#else
fn factorsOf(layer: i32) -> vec4f {
  return load(factors, 0, 0, layer);
}
#end

fn texel(at: vec3i) -> vec4f {
  return loadAt(source, at) * factorsOf(at.z);
}
