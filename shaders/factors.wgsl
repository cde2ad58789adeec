// The host's factors of the four channels of a layer, which all are there.
fn factorsOf(layer: i32) -> vec4f {
  let first = tileStart(arrayLength(&factors)) + 4 * layer;
  return vec4f(factors[first], factors[first + 1], factors[first + 2], factors[first + 3]);
}
