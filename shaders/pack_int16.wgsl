// A tensor of integers into host int16, two a word; an invocation makes one word.
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read_write> data: array<u32>;

struct Params {
  width: i32,
  height: i32,
  channels: i32,
  elements: i32,
}

#define ORDER 0 // 0: channels x height x width; in coding order 1: anchors, 2: the others, 3: anchors, then the others
#include "tensor.wgsl"
#include "grid.wgsl"
#if ORDER
#include "coding_order.wgsl"
#end

// Column, row and channel of an element.
fn placeOf(i: i32) -> vec3i {
#if ORDER
  let anchors = p.channels * halfSize(1, p.width, p.height);
  let half = ${(ORDER == 2) * 2 + (ORDER != 2) * 1} + i32(${ORDER / 3} * i >= anchors);
  let n = i - (half - 1) * ${ORDER / 3} * anchors;
  let size = halfSize(half, p.width, p.height);
  return vec3i(positionOf(half, n % size, p.width), n / size);
#else
  return vec3i(i % p.width, i / p.width % p.height, i / (p.width * p.height));
#end
}

fn element(i: i32) -> u32 {
  if (i >= p.elements) { return 0u; }
  let at = placeOf(i);
  return u32(i32(round(load(source, at.x, at.y, at.z / 4)[at.z % 4]))) & 0xffffu;
}

@compute @workgroup_size(${GROUP})
fn packInt16(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let i = 2 * linearIndex(id, workgroups);
  beginTile(id.z, workgroups);
  if (i >= p.elements) { return; }
  data[tileStart(arrayLength(&data)) + i / 2] = element(i) | (element(i + 1) << 16u);
}
