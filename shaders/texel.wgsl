#include "tensor.wgsl"
#include "positions.wgsl"
// An invocation makes one texel of `output`: texel(at), which the including file has.
fn run(at: vec3i) {
  store(output, at.x, at.y, at.z, texel(at));
}
