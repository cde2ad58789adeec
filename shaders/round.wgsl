// Nearest integer, ties to even, within int16.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var output: texture_storage_2d_array<rgba32float, write>;
#define ACTIVATION 0 // 1: the result is stored as activations too
#if ACTIVATION
@group(0) @binding(3) var activation: texture_storage_2d_array<rgba32float, write>;
#end

struct Params {
  width: i32,
  height: i32,
#if ACTIVATION
  activationShift: i32,
#end
}

#include "texel.wgsl"
#include "symbol.wgsl"
#if ACTIVATION
#include "activations.wgsl"
#end

fn texel(at: vec3i) -> vec4f {
  let v = toSymbol(loadAt(source, at));
#if ACTIVATION
  store(activation, at.x, at.y, at.z, activationsOf(vec4i(v), p.activationShift));
#end
  return v;
}
