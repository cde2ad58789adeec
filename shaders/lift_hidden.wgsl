// First layer of a lifting net: tanh(conv3x3(1 -> c)) of f, each colour by itself. Layer o of the output holds hidden
// channel o of all colours. An invocation makes TX positions x 4 hidden channels.
@group(0) @binding(0) var source: texture_2d_array<f32>; // f, up to 4 colours
@group(0) @binding(1) var weights: texture_2d_array<f32>; // 9 taps, then bias x c / 4; texel = 4 hidden channels
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>; // c layers

struct Params {
  width: i32,
  height: i32,
}

#define TX 4
#include "tensor.wgsl"
#include "tanh.wgsl"

@compute @workgroup_size(8, 8)
fn liftHidden(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let x0 = i32(id.x) * ${TX};
  let y = i32(id.y);
  let group = beginTile(id.z, workgroups);
  if (x0 >= p.width || y >= p.height) { return; }
#for k in 0..10
  let w${k} = textureLoad(weights, vec2i(${k}, group), 0, 0);
#end
#for j in 0..3
#for i in 0..TX + 2
  let i${j}_${i} = load(source, x0 + ${i - 1}, y + ${j - 1}, 0);
#end
#end
#for x in 0..TX
  let at${x} = parked(vec2i(x0 + ${x}, y), vec2i(p.width, p.height));
#for o in 0..4
  var a${x}_${o} = vec4f(w9.${xyzw(o)});
#for k in 0..9
  a${x}_${o} = fma(i${k / 3}_${x + k % 3}, vec4f(w${k}.${xyzw(o)}), a${x}_${o});
#end
  store(output, at${x}.x, at${x}.y, 4 * group + ${o}, tanhFast(a${x}_${o}));
#end
#end
}
