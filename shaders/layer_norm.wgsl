// Layer norm of integers over the channels of a position. The vector is brought to 12 bits, its mean subtracted in
// quarters, its norm's reciprocal found by a table and one Newton step: nothing here can leave 32 bits.

// What brings a vector to 11 bits and a sign: x' = (factor x + half) >> right.
struct Scaling {
  factor: i32,
  half: i32,
  right: u32,
  excess: i32, // bits beyond eleven
}

// What a centred vector is multiplied by, and the shift after it.
struct Reciprocal {
  g: i32,
  fine: u32,
  isNone: bool, // of a vector of equal values
}

fn total(v: vec4i) -> i32 {
  return v.x + v.y + v.z + v.w;
}

fn bits(v: u32) -> i32 {
  return 32 - i32(countLeadingZeros(v));
}

// By the largest magnitude of each component. These are taken in floats, which hold the integers: of max(m, abs(integer))
// NVIDIA's driver 580 leaves out abs on Hopper.
fn scalingOf(magnitudes: vec4f) -> Scaling {
  let largest = u32(max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w)));
  let excess = bits(largest) - 11;
  let right = u32(max(excess, 0));
  return Scaling(1 << u32(max(-excess, 0)), (1 << right) >> 1u, right, excess);
}

fn scaled(v: vec4i, s: Scaling) -> vec4i {
  return (s.factor * v + s.half) >> vec4u(s.right);
}

// In quarters. Channels that aren't there are zero, and count for nothing. The sum is taken from 0 on for the division.
fn meanOf(sum: i32, channels: i32) -> i32 {
  let count = u32(channels);
  return i32((4u * u32(sum + 2048 * channels) + (count >> 1u)) / count) - 8192;
}

// What four channels from 4 c on add to the spread.
fn squaresOf(x: vec4i, mean: i32, c: i32, channels: i32) -> vec4i {
  let u = select(vec4i(0), 4 * x - mean, vec4i(0, 1, 2, 3) + 4 * c < vec4i(channels));
  return (u * u + 8) >> vec4u(4u);
}

// In u32, as each of the four parts is below 2^31, but not their sum.
fn spreadOf(squares: vec4i) -> u32 {
  return u32(squares.x) + u32(squares.y) + u32(squares.z) + u32(squares.w);
}

fn reciprocalOf(spread: u32, s: Scaling, epsilon: i32) -> Reciprocal {
  let scale = 10 + 2 * s.excess;
  let variance = spread + ((u32(epsilon) << u32(max(-scale, 0))) >> u32(clamp(scale, 0, 31)));
  // W = variance 4^-t, in [2^14, 2^16); 0 for a variance of 0.
  let t = (bits(variance) - 15) >> 1u;
  let w = (variance >> u32(max(2 * t, 0))) << u32(max(-2 * t, 0));
  let g0 = u32(textureLoad(rsqrt, vec2i(clamp(i32(w >> 7u) - 128, 0, 383), 0), 0, 0).x);
  let newton = (w * ((g0 * g0) >> 16u)) >> 16u;
  return Reciprocal(i32((g0 * (49152u - newton)) >> 15u), u32(t + 11), variance == 0u);
}

// Four channels of the result, from 4 c on.
fn normed(x: vec4i, mean: i32, r: Reciprocal, c: i32) -> vec4i {
  let n = select((r.g * (4 * x - mean) + ((1 << r.fine) >> 1u)) >> vec4u(r.fine), vec4i(0), r.isNone);
  let weight = textureLoad(normWeights, vec2i(0, c), 0, 0);
  let bias = textureLoad(normWeights, vec2i(1, c), 0, 0);
  let shift = vec4u(textureLoad(normWeights, vec2i(2, c), 0, 0));
  return clamp12((n * weight + bias) >> shift);
}
