// A lifting step in one go, for a GPU: output = target + sign (f + net(f)), weighed at the ends, with f and the net's first
// hidden layer in the workgroup's memory. A workgroup makes 8 x 8 positions; hidden channels are taken 8 at a time, and for more than 8
// made anew for each 8 of the second layer, which is 9 multiplications beside 72.
// Source and target may be every other row or column, certain channels, and a multiple, of a tensor; results may go to
// such places too. Two steps alike, as those of low and of high rows, may be made at once, the second in workgroups of its
// own.
#define STEPS 1
@group(0) @binding(0) var first: texture_2d_array<f32>; // 9 taps, then bias x c / 4; texel = 4 hidden channels
@group(0) @binding(1) var weights: texture_2d_array<f32>; // (9 taps x 2 halves) x c inputs x c / 8; texel = 4 of 8 outputs
@group(0) @binding(2) var last: texture_2d_array<f32>; // (bias, bias, weight, weight of 8 hidden), then bias of the 1x1 in x
@group(0) @binding(3) var<uniform> p: Params;
#define ALSO 0 // 1: results go to a second place
#for n in 0..STEPS
@group(0) @binding(${4 + 4 * n}) var source${n}: texture_2d_array<f32>;
@group(0) @binding(${5 + 4 * n}) var base${n}: texture_2d_array<f32>; // the target's tensor
@group(0) @binding(${6 + 4 * n}) var output${n}: texture_storage_2d_array<rgba32float, write>;
#if ALSO
@group(0) @binding(${7 + 4 * n}) var also${n}: texture_storage_2d_array<rgba32float, write>;
#end
#end

struct Params {
  width: i32,
  height: i32,
  columns: i32, // 1: the pass counts columns
  neighbour: i32, // 1: v_{i+1}, -1: v_{i-1}
  factor: f32,
  sign: f32,
  sourceEnd: f32, // what the source's last position is multiplied by
  firstEnd: f32, // what is added to the first and to the last position is multiplied by
  lastEnd: f32,
  hidden: i32, // c, a multiple of 8
  colours: i32,
#for n in 0..STEPS
  source${n}StepX: i32,
  source${n}StepY: i32,
  source${n}X: i32,
  source${n}Y: i32,
  source${n}First: i32, // channel
  source${n}Scale: f32,
  base${n}StepX: i32,
  base${n}StepY: i32,
  base${n}X: i32,
  base${n}Y: i32,
  base${n}First: i32,
  base${n}Scale: f32,
  output${n}StepX: i32,
  output${n}StepY: i32,
  output${n}X: i32,
  output${n}Y: i32,
  output${n}Scale: f32,
#if ALSO
  also${n}StepX: i32,
  also${n}StepY: i32,
  also${n}X: i32,
  also${n}Y: i32,
  also${n}Scale: f32,
#end
#end
}

#include "channels.wgsl"
#include "tanh.wgsl"
#include "ends.wgsl"

var<workgroup> f: array<vec4f, 144>; // 12 x 12: two more on each side
var<workgroup> hidden: array<vec4f, 800>; // 8 channels of 10 x 10

#for n in 0..STEPS
fn sourceOf${n}(x: i32, y: i32) -> vec4f {
  let at = vec2i(x * p.source${n}StepX + p.source${n}X, y * p.source${n}StepY + p.source${n}Y);
  return p.source${n}Scale * loadChannels(source${n}, at.x, at.y, p.source${n}First, p.source${n}First + p.colours);
}

fn finish${n}(x: i32, y: i32, added: vec4f) {
  let at = vec2i(x * p.base${n}StepX + p.base${n}X, y * p.base${n}StepY + p.base${n}Y);
  let before = loadChannels(base${n}, at.x, at.y, p.base${n}First, p.base${n}First + p.colours);
  let sum = p.base${n}Scale * before + p.sign * added;
  let v = select(vec4f(0.0), sum, vec4i(0, 1, 2, 3) < vec4i(p.colours));
  store(output${n}, x * p.output${n}StepX + p.output${n}X, y * p.output${n}StepY + p.output${n}Y, 0, p.output${n}Scale * v);
#if ALSO
  store(also${n}, x * p.also${n}StepX + p.also${n}X, y * p.also${n}StepY + p.also${n}Y, 0, p.also${n}Scale * v);
#end
}
#end

fn sourceAt(which: i32, at: vec2i) -> vec4f {
  let weight = endWeight(at, 1.0, p.sourceEnd);
#for n in 1..STEPS
  if (which == ${n}) { return weight * sourceOf${n}(at.x, at.y); }
#end
  return weight * sourceOf0(at.x, at.y);
}

fn finish(which: i32, x: i32, y: i32, added: vec4f) {
#for n in 1..STEPS
  if (which == ${n}) {
    finish${n}(x, y, added);
    return;
  }
#end
  finish0(x, y, added);
}

fn isInside(x: i32, y: i32) -> bool {
  return x >= 0 && y >= 0 && x < p.width && y < p.height;
}

@compute @workgroup_size(8, 8)
fn liftStep(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
) {
  let which = beginTile(workgroup.z, workgroups);
  let lane = i32(8 * local.y + local.x);
  let corner = 8 * vec2i(workgroup.xy);
  let step = p.neighbour * vec2i(p.columns, 1 - p.columns);
  for (var i = lane; i < 144; i += 64) {
    let x = corner.x + i % 12 - 2;
    let y = corner.y + i / 12 - 2;
    var v = vec4f(0.0);
    if (isInside(x, y)) {
      let at = vec2i(x, y);
      let other = clamp(at + step, vec2i(0), vec2i(p.width, p.height) - 1);
      v = p.factor * (sourceAt(which, at) + sourceAt(which, other));
    }
    f[i] = v;
  }
  let parts = p.hidden / 8;
  var net = vec4f(textureLoad(last, vec2i(4, 0), 0, 0).x);
  for (var part = 0; part < parts; part++) {
#for o in 0..8
    var a${o} = vec4f(textureLoad(last, vec2i(${o / 4}, part), 0, 0).${xyzw(o % 4)});
#end
    for (var eight = 0; eight < parts; eight++) {
      workgroupBarrier();
      if (parts > 1 || part == 0) {
        for (var i = lane; i < 100; i += 64) {
          let x = i % 10;
          let y = i / 10;
          let isThere = isInside(corner.x + x - 1, corner.y + y - 1);
#for k in 0..9
          let f${k} = f[(y + ${k / 3}) * 12 + x + ${k % 3}];
#end
#for h in 0..2
#for k in 0..10
          let w${h}_${k} = textureLoad(first, vec2i(${k}, 2 * eight + ${h}), 0, 0);
#end
#for o in 0..4
          var h${h}_${o} = vec4f(w${h}_9.${xyzw(o)});
#for k in 0..9
          h${h}_${o} = fma(f${k}, vec4f(w${h}_${k}.${xyzw(o)}), h${h}_${o});
#end
          hidden[${4 * h + o} * 100 + i] = select(vec4f(0.0), tanhFast(h${h}_${o}), isThere);
#end
#end
        }
      }
      workgroupBarrier();
      for (var c = 0; c < 8; c++) {
        let at = 100 * c + i32(10 * local.y + local.x);
#for k in 0..9
        {
          let v = hidden[at + ${10 * (k / 3) + k % 3}];
#for h in 0..2
          let w${h} = textureLoad(weights, vec2i(${2 * k + h}, 8 * eight + c), part, 0);
#end
#for o in 0..8
          a${o} = fma(v, vec4f(w${o / 4}.${xyzw(o % 4)}), a${o});
#end
        }
#end
      }
    }
#for o in 0..8
    net = fma(tanhFast(a${o}), vec4f(textureLoad(last, vec2i(${2 + o / 4}, part), 0, 0).${xyzw(o % 4)}), net);
#end
  }
  let x = corner.x + i32(local.x);
  let y = corner.y + i32(local.y);
  if (x >= p.width || y >= p.height) { return; }
  let weight = endWeight(vec2i(x, y), p.firstEnd, p.lastEnd);
  finish(which, x, y, weight * (f[(i32(local.y) + 2) * 12 + i32(local.x) + 2] + net));
}
