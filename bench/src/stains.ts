/**
 * How much haematoxylin and eosin each pixel holds: Ruifrok and Johnston, "Quantification of histochemical staining by
 * color deconvolution" (2001). Optical density is linear in the stains; what neither explains goes to a third
 * direction.
 */
import type { Image } from 'cleric'
import { EOSIN, HAEMATOXYLIN } from 'cleric/internal'

/** Densities, natural logarithm, one value a pixel. Noise makes some slightly negative. */
export interface Stains {
  readonly haematoxylin: Float32Array
  readonly eosin: Float32Array
}

type Vector = readonly [number, number, number]

export function separateStains({ data, width, height }: Image): Stains {
  const [toHaematoxylin, toEosin] = UNMIXING
  const haematoxylin = new Float32Array(width * height)
  const eosin = new Float32Array(width * height)
  for (let i = 0, j = 0; i < haematoxylin.length; i++, j += 3) {
    const r = DENSITY[data[j] as number] as number
    const g = DENSITY[data[j + 1] as number] as number
    const b = DENSITY[data[j + 2] as number] as number
    haematoxylin[i] = toHaematoxylin[0] * r + toHaematoxylin[1] * g + toHaematoxylin[2] * b
    eosin[i] = toEosin[0] * r + toEosin[1] * g + toEosin[2] * b
  }
  return { haematoxylin, eosin }
}

/** Optical density of a channel value; 0 counts as 1, as it has none. */
const DENSITY = Float64Array.from({ length: 256 }, (_, value) => -Math.log(Math.max(value, 1) / 255))

/** Rows that give the densities of haematoxylin and of eosin from the three optical densities. */
const UNMIXING = (() => {
  const [h, e] = [unit(HAEMATOXYLIN), unit(EOSIN)]
  const residual = unit(cross(h, e))
  // The inverse of a matrix of columns h, e, residual has the rows e x residual and so on, over the determinant.
  const determinant = dot(h, cross(e, residual))
  const row = (v: Vector): Vector => [v[0] / determinant, v[1] / determinant, v[2] / determinant]
  return [row(cross(e, residual)), row(cross(residual, h))] as const
})()

function unit(v: Vector): Vector {
  const length = Math.hypot(...v)
  return [v[0] / length, v[1] / length, v[2] / length]
}

function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
