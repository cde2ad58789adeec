// Attention of integers inside the 5x5 window around every non-anchor; an invocation is one query of one window for
// one head, and of every pair of neighbouring windows only one is round a non-anchor.
@group(0) @binding(0) var qkv: texture_2d_array<f32>; // q, k, v: d / 4 layers each, activations
@group(0) @binding(1) var bias: texture_2d_array<i32>; // 81 relative positions x heads, in x
@group(0) @binding(2) var exponentials: texture_2d_array<i32>; // 64 x 64, in x
@group(0) @binding(3) var<uniform> p: Params;
@group(0) @binding(4) var output: texture_storage_2d_array<rgba32float, write>; // d / 4 layers, 5 times as wide and high
#define UNFOLDED 0 // 1: in place of that 25 d / 4 layers, those of a window's first place, second place ...

struct Params {
  width: i32, // of qkv
  height: i32,
  groups: i32, // d / 4
  headGroups: i32, // d / 4 / heads
  shift: i32, // of q k
}

#include "integer.wgsl"
#include "checkerboard.wgsl"

fn isInside(x: i32, y: i32) -> bool {
  return x >= 0 && y >= 0 && x < p.width && y < p.height;
}

// A result of the window round a centre.
fn storeAt(centre: vec2i, place: vec2i, c: i32, value: vec4f) {
#if UNFOLDED
  store(output, centre.x, centre.y, (5 * place.y + place.x) * p.groups + c, value);
#else
  store(output, 5 * centre.x + place.x, 5 * centre.y + place.y, c, value);
#end
}

@compute @workgroup_size(8, 8)
fn integerWindowAttention(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let head = beginTile(id.z, workgroups);
  let place = vec2i(id.xy) % 5;
  let row = i32(id.y) / 5;
  let pair = 2 * (i32(id.x) / 5);
  let first = head * p.headGroups;
  let centre = vec2i(pair + (row & 1), row);
  let other = vec2i(pair + 1 - (row & 1), row);
  if (row >= p.height) { return; }
  // Windows round anchors are zero.
  if (other.x < p.width) {
    for (var c = first; c < first + p.headGroups; c++) {
      storeAt(other, place, c, vec4f(0.0));
    }
  }
  if (centre.x >= p.width) { return; }
  // The border of the texture is as wide as the window reaches.
  let corner = centre - 2;
  let query = corner + place;
#for k in 0..25
  var s${k} = 0;
#end
  for (var c = first; c < first + p.headGroups; c++) {
    let q = load(qkv, query.x, query.y, c);
    // Four products of activations are 2^24 at most in sum, which f32 holds.
#for k in 0..25
    s${k} += i32(dot(q, load(qkv, corner.x + ${k % 5}, corner.y + ${k / 5}, p.groups + c)));
#end
  }
  let isQuery = isAnchor(query.x, query.y) && isInside(query.x, query.y);
  let shift = u32(p.shift);
  let half = (1 << shift) >> 1u;
  var top = -2147483647;
#for k in 0..25
  {
    let key = corner + vec2i(${k % 5}, ${k / 5});
    let position = (place.y - ${k / 5} + 4) * 9 + place.x - ${k % 5} + 4;
    s${k} = ((s${k} + half) >> shift) + textureLoad(bias, vec2i(position, head), 0, 0).x;
    if (!(isQuery && isAnchor(key.x, key.y) && isInside(key.x, key.y))) { s${k} -= 65536; }
    top = max(top, s${k});
  }
#end
  var sum = 0u;
  // Differences in u32, as two logits may be 2^31 apart.
#for k in 0..25
  let e${k} = u32(entry(exponentials, i32(min(u32(top) - u32(s${k}), 4095u))));
  sum += e${k};
#end
#for k in 0..25
  let p${k} = i32(((e${k} << 16u) + (sum >> 1u)) / sum);
#end
  for (var c = first; c < first + p.headGroups; c++) {
    var v = vec4i(0);
#for k in 0..25
    v += p${k} * loadSmall(qkv, corner.x + ${k % 5}, corner.y + ${k / 5}, 2 * p.groups + c);
#end
    storeAt(centre, place, c, vec4f((v + 32768) >> vec4u(16u)));
  }
}
