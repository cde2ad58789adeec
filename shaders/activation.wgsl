// WGSL has no erf: Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
fn gelu(x: vec4f) -> vec4f {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / fma(vec4f(0.3275911), z, vec4f(1.0));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = p * exp(-z * z); // erfc(z)
  return x * select(1.0 - 0.5 * tail, 0.5 * tail, x < vec4f(0.0));
}

// The built-in one is slow on software adapters and overflows on some drivers. A rational function in x^2, fitted to
// |x| <= 8, where all its terms are positive: absolute error below 4e-7 in float32.
fn tanhFast(x: vec4f) -> vec4f {
  let v = clamp(x, vec4f(-8.0), vec4f(8.0));
  let t = v * v;
  let above = 9.99999970e-1 + t * (1.34382287e-1 + t * (3.56420067e-3 + t * (2.17739782e-5 + t * 1.50628286e-8)));
  let below = 1.0 + t * (4.67715495e-1 + t * (2.61361853e-2 + t * (3.39925217e-4 + t * 8.45407774e-7)));
  return v * above / below;
}

#define ACT 0 // 0 none, 1 GELU, 2 tanh
fn activate(x: vec4f) -> vec4f {
#if ACT == 1
  return gelu(x);
#end
#if ACT == 2
  return tanhFast(x);
#end
#if ACT == 0
  return x;
#end
}
