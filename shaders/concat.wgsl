// Up to four tensors, one after another along the channels.
#include "tensor.wgsl"
@group(0) @binding(0) var part0: texture_2d_array<f32>;
@group(0) @binding(1) var part1: texture_2d_array<f32>; // or unused, as the ones below
@group(0) @binding(2) var part2: texture_2d_array<f32>;
@group(0) @binding(3) var part3: texture_2d_array<f32>;
@group(0) @binding(4) var<uniform> p: Params;
@group(0) @binding(5) var output: texture_storage_2d_array<rgba${32 - 16 * HALF}float, write>;

struct Params {
  width: i32,
  height: i32,
  first: i32, // layer of the output where they begin
  end0: i32, // channel after the last of each part; parts that aren't there end where the last one does
  end1: i32,
  end2: i32,
  end3: i32,
}

#define WHOLE 0 // 1: all parts but the last are of whole layers
#include "positions.wgsl"

fn channel(x: i32, y: i32, c: i32) -> f32 {
  if (c < p.end0) { return load(part0, x, y, c / 4)[c % 4]; }
  if (c < p.end1) { return load(part1, x, y, (c - p.end0) / 4)[(c - p.end0) % 4]; }
  if (c < p.end2) { return load(part2, x, y, (c - p.end1) / 4)[(c - p.end1) % 4]; }
  if (c < p.end3) { return load(part3, x, y, (c - p.end2) / 4)[(c - p.end2) % 4]; }
  return 0.0;
}

fn run(at: vec3i) {
  let c = 4 * at.z;
  var v = vec4f(0.0);
#if WHOLE
  if (c < p.end0) {
    v = loadAt(part0, at);
  } else if (c < p.end1) {
    v = load(part1, at.x, at.y, (c - p.end0) / 4);
  } else if (c < p.end2) {
    v = load(part2, at.x, at.y, (c - p.end1) / 4);
  } else {
    v = load(part3, at.x, at.y, (c - p.end2) / 4);
  }
#else
#for i in 0..4
  v.${xyzw(i)} = channel(at.x, at.y, c + ${i});
#end
#end
  store(output, at.x, at.y, p.first + at.z, v);
}
