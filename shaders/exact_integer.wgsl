// Compilers reorder float sums; past an integer operation they can't. p.zero is always 0, but no compiler knows.
fn fenced(v: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4i>(v) + p.zero);
}

// A sum of up to 2^24 in two parts below 2^22: h = sum / 4096, rounded either way, and what is left. Without fences
// MAGIC might be added to the sum's terms, where it would round.
fn exactInteger(sum: vec4f) -> vec4i {
  let s = fenced(sum);
  let h = toInteger(s * 0.000244140625);
  return 4096 * h + toInteger(fenced(fma(vec4f(h), vec4f(-4096.0), s)));
}
