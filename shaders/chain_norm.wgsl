#include "layer_norm.wgsl"
// The layer norm inside of pointwise_chain.wgsl: 128 / P invocations share a position, each with its part of the groups
// of channels. What they leave for each other are integers below 2^24, which floats hold.

// Where the invocation's part of round `round` goes.
fn shareAt(round: i32, lane: i32) -> i32 {
  return p.shares + 128 * round + lane;
}

// @param first the workgroup's first position, count: of all
fn normalise(lane: i32, first: i32, count: i32) {
  let groups = p.groups${NORM};
  let at = lane % ${P};
  let share = lane / ${P};
#if NORM == 0
  let n = select(0, first + at, first + at < count);
#end
  var magnitudes = vec4f(0.0);
  for (var c = share; c < groups; c += ${128 / P}) {
#if NORM == 0
    between[p.raw + ${P} * c + at] = load(source0, n % p.width, n / p.width, c);
#end
    magnitudes = max(magnitudes, abs(between[p.raw + ${P} * c + at]));
  }
  between[shareAt(0, lane)] = magnitudes;
  workgroupBarrier();
  for (var s = 0; s < ${128 / P}; s++) { magnitudes = max(magnitudes, between[shareAt(0, ${P} * s + at)]); }
  let scaling = scalingOf(magnitudes);
  var sums = vec4i(0);
  for (var c = share; c < groups; c += ${128 / P}) {
    sums += scaled(vec4i(between[p.raw + ${P} * c + at]), scaling);
  }
  between[shareAt(1, lane)] = vec4f(sums);
  workgroupBarrier();
  sums = vec4i(0);
  for (var s = 0; s < ${128 / P}; s++) { sums += vec4i(between[shareAt(1, ${P} * s + at)]); }
  let mean = meanOf(total(sums), p.channels);
  var squares = vec4i(0);
  for (var c = share; c < groups; c += ${128 / P}) {
    squares += squaresOf(scaled(vec4i(between[p.raw + ${P} * c + at]), scaling), mean, c, p.channels);
  }
  // In halves of 16 bits, as floats don't hold 32.
  let part = spreadOf(squares);
  between[shareAt(2, lane)] = vec4f(f32(part >> 16u), f32(part & 0xffffu), 0.0, 0.0);
  workgroupBarrier();
  var spread = 0u;
  for (var s = 0; s < ${128 / P}; s++) {
    let halves = vec4u(between[shareAt(2, ${P} * s + at)]);
    spread += (halves.x << 16u) + halves.y;
  }
  let reciprocal = reciprocalOf(spread, scaling, p.epsilon);
  for (var c = share; c < groups; c += ${128 / P}) {
    let x = scaled(vec4i(between[p.raw + ${P} * c + at]), scaling);
    between[p.from${NORM} + ${P} * c + at] = vec4f(normed(x, mean, reciprocal, c));
  }
  workgroupBarrier();
}
