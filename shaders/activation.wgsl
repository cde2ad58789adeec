// WGSL has no erf: Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
fn gelu(x: vec4f) -> vec4f {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / fma(vec4f(0.3275911), z, vec4f(1.0));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = p * exp(-z * z); // erfc(z)
  return x * select(1.0 - 0.5 * tail, 0.5 * tail, x < vec4f(0.0));
}

#define ACT 0 // 0 none, 1 GELU
fn activate(x: vec4f) -> vec4f {
#if ACT == 1
  return gelu(x);
#else
  return x;
#end
}
