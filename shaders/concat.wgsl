// Several tensors, one after another along the channels, perhaps times a factor and times the host's factors.
#include "tensor.wgsl"
#define PARTS 4
#for i in 0..PARTS
@group(0) @binding(${3 + i}) var part${i}: texture_2d_array<f32>; // or unused, but for the first
#end
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var output: texture_storage_2d_array<rgba${32 - 16 * HALF}float, write>;
#define GAIN 0 // 1: values are multiplied by the factor, then by those of the host
#if GAIN
@group(0) @binding(2) var<storage, read> factors: array<f32>; // see factors.wgsl
#include "factors.wgsl"
#end

struct Params {
  width: i32,
  height: i32,
  first: i32, // layer of the output where they begin
#for i in 0..PARTS
  end${i}: i32, // channel after the part's last; parts that aren't there end where the last one does
#end
#if GAIN
  factor: f32,
#end
}

#define WHOLE 0 // 1: all parts but the last are of whole layers
#include "positions.wgsl"

fn channel(x: i32, y: i32, c: i32) -> f32 {
  if (c < p.end0) { return load(part0, x, y, c / 4)[c % 4]; }
#for i in 1..PARTS
  if (c < p.end${i}) { return load(part${i}, x, y, (c - p.end${i - 1}) / 4)[(c - p.end${i - 1}) % 4]; }
#end
  return 0.0;
}

fn run(at: vec3i) {
  let c = 4 * at.z;
  var v = vec4f(0.0);
#if WHOLE
  if (c < p.end0) { v = loadAt(part0, at); }
#for i in 1..PARTS
  if (c >= p.end${i - 1} && c < p.end${i}) { v = load(part${i}, at.x, at.y, (c - p.end${i - 1}) / 4); }
#end
#else
#for i in 0..4
  v.${xyzw(i)} = channel(at.x, at.y, c + ${i});
#end
#end
#if GAIN
  v = p.factor * v * factorsOf(p.first + at.z);
#end
  store(output, at.x, at.y, p.first + at.z, v);
}
