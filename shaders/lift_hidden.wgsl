// First layer of a lifting net: tanh(conv3x3(1 -> c)) of f, each colour by itself. Layer o of the output holds hidden
// channel o of all colours.
@group(0) @binding(0) var source: texture_2d_array<f32>; // f, up to 4 colours
@group(0) @binding(1) var weights: texture_2d_array<f32>; // 9 taps, then bias x c / 4; texel = 4 hidden channels
@group(0) @binding(2) var<uniform> p: Params;
@group(0) @binding(3) var output: texture_storage_2d_array<rgba32float, write>; // c layers

struct Params {
  width: i32,
  height: i32,
}

#include "tensor.wgsl"
#include "activation.wgsl"

@compute @workgroup_size(8, 8)
fn liftHidden(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  let bias = textureLoad(weights, vec2i(9, at.z), 0, 0);
#for o in 0..4
  var a${o} = vec4f(bias.${xyzw(o)});
#end
#for k in 0..9
  {
    let x = load(source, at.x + ${k % 3 - 1}, at.y + ${k / 3 - 1}, 0);
    let w = textureLoad(weights, vec2i(${k}, at.z), 0, 0);
#for o in 0..4
    a${o} = fma(x, vec4f(w.${xyzw(o)}), a${o});
#end
  }
#end
#for o in 0..4
  store(output, at.x, at.y, 4 * at.z + ${o}, tanhFast(a${o}));
#end
}
