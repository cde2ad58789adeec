// A lifting step in one go, for a GPU: output = target + sign (f + net(f)), with f and the net's first hidden layer in
// the workgroup's memory. A workgroup makes 8 x 8 positions; hidden channels are taken 8 at a time, and for more than 8
// made anew for each 8 of the second layer, which is 9 multiplications beside 72.
// Source and target may be every other row or column, certain channels, and a multiple, of a tensor; results may go to
// such places too.
@group(0) @binding(0) var source: texture_2d_array<f32>;
@group(0) @binding(1) var base: texture_2d_array<f32>; // the target's tensor
@group(0) @binding(2) var first: texture_2d_array<f32>; // 9 taps, then bias x c / 4; texel = 4 hidden channels
@group(0) @binding(3) var weights: texture_2d_array<f32>; // (9 taps x 2 halves) x c inputs x c / 8; texel = 4 of 8 outputs
@group(0) @binding(4) var last: texture_2d_array<f32>; // (bias, bias, weight, weight of 8 hidden), then bias of the 1x1 in x
@group(0) @binding(5) var<uniform> p: Params;
@group(0) @binding(6) var output: texture_storage_2d_array<rgba32float, write>;
#define ALSO 0 // 1: the result goes to a second place
#if ALSO
@group(0) @binding(7) var also: texture_storage_2d_array<rgba32float, write>;
#end

struct Params {
  width: i32,
  height: i32,
  columns: i32, // 1: the pass counts columns
  neighbour: i32, // 1: v_{i+1}, -1: v_{i-1}
  factor: f32,
  sign: f32,
  hidden: i32, // c, a multiple of 8
  colours: i32,
  sourceStepX: i32,
  sourceStepY: i32,
  sourceX: i32,
  sourceY: i32,
  sourceFirst: i32, // channel
  sourceScale: f32,
  baseStepX: i32,
  baseStepY: i32,
  baseX: i32,
  baseY: i32,
  baseFirst: i32,
  baseScale: f32,
  outputStepX: i32,
  outputStepY: i32,
  outputX: i32,
  outputY: i32,
  outputScale: f32,
#if ALSO
  alsoStepX: i32,
  alsoStepY: i32,
  alsoX: i32,
  alsoY: i32,
  alsoScale: f32,
#end
}

#include "channels.wgsl"
#include "tanh.wgsl"

var<workgroup> f: array<vec4f, 144>; // 12 x 12: two more on each side
var<workgroup> hidden: array<vec4f, 800>; // 8 channels of 10 x 10

fn sourceAt(x: i32, y: i32) -> vec4f {
  let v = loadChannels(source, x * p.sourceStepX + p.sourceX, y * p.sourceStepY + p.sourceY, p.sourceFirst, p.sourceFirst + p.colours);
  return p.sourceScale * v;
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
  beginTile(workgroup.z, workgroups);
  let lane = i32(8 * local.y + local.x);
  let corner = 8 * vec2i(workgroup.xy);
  let step = p.neighbour * vec2i(p.columns, 1 - p.columns);
  for (var i = lane; i < 144; i += 64) {
    let x = corner.x + i % 12 - 2;
    let y = corner.y + i / 12 - 2;
    var v = vec4f(0.0);
    if (isInside(x, y)) {
      let other = clamp(vec2i(x, y) + step, vec2i(0), vec2i(p.width, p.height) - 1);
      v = p.factor * (sourceAt(x, y) + sourceAt(other.x, other.y));
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
  let before = loadChannels(base, x * p.baseStepX + p.baseX, y * p.baseStepY + p.baseY, p.baseFirst, p.baseFirst + p.colours);
  let sum = p.baseScale * before + p.sign * (f[(i32(local.y) + 2) * 12 + i32(local.x) + 2] + net);
  let v = select(vec4f(0.0), sum, vec4i(0, 1, 2, 3) < vec4i(p.colours));
  store(output, x * p.outputStepX + p.outputX, y * p.outputStepY + p.outputY, 0, p.outputScale * v);
#if ALSO
  store(also, x * p.alsoStepX + p.alsoX, y * p.alsoStepY + p.alsoY, 0, p.alsoScale * v);
#end
}
