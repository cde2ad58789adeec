/** Colour deconvolution: which amounts of the stains give an optical density. */
import { EOSIN, HAEMATOXYLIN } from '../../../src/image/stains.js'

export type Vector = readonly [number, number, number]

/** What is left beside the two, at a right angle to both. */
export const STAINS: readonly Vector[] = [unit(HAEMATOXYLIN), unit(EOSIN), unit(cross(HAEMATOXYLIN, EOSIN))]

/** Rows of the matrix that takes an optical density (red, green, blue) to amounts of the stains. */
export const DENSITIES_TO_AMOUNTS: readonly Vector[] = invert(STAINS)

function unit([x, y, z]: Vector): Vector {
  const length = Math.hypot(x, y, z)
  return [x / length, y / length, z / length]
}

function cross([a, b, c]: Vector, [d, e, f]: Vector): Vector {
  return [b * f - c * e, c * d - a * f, a * e - b * d]
}

/** Inverse of the matrix whose columns are the vectors, by rows: those cross products over the determinant. */
function invert([a, b, c]: readonly Vector[]): Vector[] {
  if (!a || !b || !c) throw new Error('three stains are needed')
  const rows = [cross(b, c), cross(c, a), cross(a, b)]
  const [first] = rows as [Vector]
  const determinant = first[0] * a[0] + first[1] * a[1] + first[2] * a[2]
  return rows.map(([x, y, z]): Vector => [x / determinant, y / determinant, z / determinant])
}
