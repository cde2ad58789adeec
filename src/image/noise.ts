/**
 * Pseudo-random numbers that depend on place and seed only: the same on every machine and in every region of a drawing.
 */

/** 32 random bits for an integer place. Mixing steps of MurmurHash3's finaliser. */
export function hash(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x9e3779b1) ^ Math.imul(y, 0x85ebca77) ^ Math.imul(seed, 0xc2b2ae3d)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Uniform in [0, 1). */
export function random(x: number, y: number, seed: number): number {
  return hash(x, y, seed) / 2 ** 32
}

/** Smooth noise in [0, 1), one independent value an integer place, interpolated between. */
export function smooth(x: number, y: number, seed: number): number {
  const column = Math.floor(x)
  const row = Math.floor(y)
  const u = ease(x - column)
  const v = ease(y - row)
  const top = mix(random(column, row, seed), random(column + 1, row, seed), u)
  const bottom = mix(random(column, row + 1, seed), random(column + 1, row + 1, seed), u)
  return mix(top, bottom, v)
}

/** Three octaves of {@link smooth}, in [0, 1). */
export function fractal(x: number, y: number, seed: number): number {
  return (4 * smooth(x, y, seed) + 2 * smooth(2 * x + 17, 2 * y, seed + 1) + smooth(4 * x, 4 * y + 31, seed + 2)) / 7
}

/** 0 below `from`, 1 above `to`, smooth between. */
export function step(from: number, to: number, value: number): number {
  return ease(Math.min(1, Math.max(0, (value - from) / (to - from))))
}

function mix(a: number, b: number, t: number): number {
  return a + (b - a) * t
}

function ease(t: number): number {
  return t * t * (3 - 2 * t)
}
