#include "tensor.wgsl"
// Channels first .. first + 3 at (x, y), whatever `first` is; zero from channel `end` on.
fn loadChannels(t: texture_2d_array<f32>, x: i32, y: i32, first: i32, end: i32) -> vec4f {
  let layer = first / 4;
  let shift = first % 4;
  var v = load(t, x, y, layer);
  if (shift != 0) {
    var w = vec4f(0.0);
    if (4 * (layer + 1) < end) { w = load(t, x, y, layer + 1); }
    if (shift == 1) { v = vec4f(v.yzw, w.x); }
    if (shift == 2) { v = vec4f(v.zw, w.xy); }
    if (shift == 3) { v = vec4f(v.w, w.xyz); }
  }
  return select(vec4f(0.0), v, vec4i(first, first + 1, first + 2, first + 3) < vec4i(end));
}
