// The rest of a lifting step: output = target + sign (f + conv1x1(tanh(conv3x3(hidden)))), weighed at the ends, TX x TY
// positions an invocation, 8 hidden outputs at a time.
@group(0) @binding(0) var source: texture_2d_array<f32>; // f, up to 4 colours
@group(0) @binding(1) var hidden: texture_2d_array<f32>; // c layers of colours
@group(0) @binding(2) var weights: texture_2d_array<f32>; // (9 taps x 2 halves) x c inputs x c / 8; texel = 4 of 8 outputs
@group(0) @binding(3) var last: texture_2d_array<f32>; // (bias, bias, weight, weight of 8 hidden), then bias of the 1x1 in x
@group(0) @binding(4) var base: texture_2d_array<f32>; // the target, up to 4 colours
@group(0) @binding(5) var<uniform> p: Params;
@group(0) @binding(6) var output: texture_storage_2d_array<rgba32float, write>;

struct Params {
  width: i32,
  height: i32,
  columns: i32, // 1: the pass counts columns
  hidden: i32, // c, a multiple of 8
  colours: i32,
  sign: f32,
  firstEnd: f32, // what is added to the first and to the last position is multiplied by
  lastEnd: f32,
}

#define TX 4
#define TY 2
#include "tensor.wgsl"
#include "grid.wgsl"
#include "tanh.wgsl"
#include "ends.wgsl"

fn finish(net: vec4f, x: i32, y: i32) {
  let weight = p.sign * endWeight(vec2i(x, y), p.firstEnd, p.lastEnd);
  let v = load(base, x, y, 0) + weight * (load(source, x, y, 0) + net);
  let at = parked(vec2i(x, y), vec2i(p.width, p.height));
  store(output, at.x, at.y, 0, select(vec4f(0.0), v, vec4i(0, 1, 2, 3) < vec4i(p.colours)));
}

@compute @workgroup_size(${GROUP})
fn liftUpdate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  beginTile(id.z, workgroups);
  let tilesX = (p.width + ${TX - 1}) / ${TX};
  let i = linearIndex(id, workgroups);
  let x0 = i % tilesX * ${TX};
  let y0 = i / tilesX * ${TY};
  if (y0 >= p.height) { return; }
  let parts = p.hidden / 8;
  let end = textureLoad(last, vec2i(4, 0), 0, 0).x;
#for j in 0..TX * TY
  var net${j} = vec4f(end);
#end
  for (var part = 0; part < parts; part++) {
#for h in 0..2
    let bias${h} = textureLoad(last, vec2i(${h}, part), 0, 0);
    let mix${h} = textureLoad(last, vec2i(${2 + h}, part), 0, 0);
#end
#for j in 0..TX * TY
#for o in 0..8
    var a${j}_${o} = vec4f(bias${o / 4}.${xyzw(o % 4)});
#end
#end
    for (var c = 0; c < p.hidden; c++) {
#for y in 0..TY + 2
#for x in 0..TX + 2
      let i${y}_${x} = load(hidden, x0 + ${x - 1}, y0 + ${y - 1}, c);
#end
#end
#for k in 0..9
#for h in 0..2
      let w${k}_${h} = textureLoad(weights, vec2i(${k * 2 + h}, c), part, 0);
#end
#end
#for j in 0..TX * TY
#for k in 0..9
#for o in 0..8
      a${j}_${o} = fma(i${j / TX + k / 3}_${j % TX + k % 3}, vec4f(w${k}_${o / 4}.${xyzw(o % 4)}), a${j}_${o});
#end
#end
#end
    }
#for j in 0..TX * TY
#for o in 0..8
    net${j} = fma(tanhFast(a${j}_${o}), vec4f(mix${o / 4}.${xyzw(o % 4)}), net${j});
#end
#end
  }
#for j in 0..TX * TY
  finish(net${j}, x0 + ${j % TX}, y0 + ${j / TX});
#end
}
