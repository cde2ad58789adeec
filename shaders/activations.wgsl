#include "integer.wgsl"
// Integers as activations, by a shift that rounds.
fn activationsOf(v: vec4i, shift: i32) -> vec4f {
  let half = (1 << u32(shift)) >> 1u;
  return vec4f(clamp12((v + half) >> vec4u(u32(shift))));
}
