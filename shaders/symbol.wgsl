// The nearest integer that the coder takes, ties to even. By way of i32, so that a NaN, of which WGSL promises
// nothing, becomes some such integer too: what is packed for the host is what the network goes on with.
fn toSymbol(v: vec4f) -> vec4f {
  return vec4f(clamp(vec4i(round(v)), vec4i(-32767), vec4i(32767)));
}
