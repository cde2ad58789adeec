/**
 * Small models and the golden vectors of them (training/cleric_training/golden.py): floats by PyTorch, integers by its
 * oracle.
 */
import { readFileSync } from 'node:fs'
import { type Model, parseModel } from '../../src/model/model.js'
import { readSafetensors, type Safetensors } from '../../src/model/safetensors.js'

function fixture(name: string): URL {
  return new URL(`../fixtures/${name}.safetensors`, import.meta.url)
}

export const nanoModelFile = fixture('nano')

/** The model test/fixtures/NAME.safetensors. */
export async function fixtureModel(name: string): Promise<Model> {
  return parseModel(readFileSync(fixture(name)))
}

export async function nanoModel(): Promise<Model> {
  return fixtureModel('nano')
}

export interface Golden {
  /** Quality whose gain level the vectors were made at. */
  readonly quality: number
  /** Names of the integer vectors, which hold on every device. */
  readonly integers: readonly string[]
  readonly get: (name: string) => { readonly shape: readonly number[]; readonly data: Float32Array | Int32Array }
}

export function nanoGolden(): Golden {
  return fixtureGolden('nano')
}

/** The golden vectors of {@link fixtureModel}. */
export function fixtureGolden(name: string): Golden {
  const file: Safetensors = readSafetensors(readFileSync(fixture(`${name}-golden`)))
  return {
    quality: (Number(file.metadata.q) / 7) * 100,
    integers: [...file.tensors].flatMap(([name, { data }]) => (data instanceof Int32Array ? [name] : [])),
    get(name) {
      const tensor = file.tensors.get(name)
      if (!tensor || tensor.data instanceof Uint8Array) throw new Error(`no golden vector ${name}`)
      return { shape: tensor.shape, data: tensor.data }
    },
  }
}

/** Largest difference, relative to the largest magnitude expected. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values, expected ${expected.length}`)
  let worst = 0
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number))
    // NaN compares false with everything, and must not pass.
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
    largest = Math.max(largest, Math.abs(expected[i] as number))
  }
  return worst / Math.max(largest, 1e-12)
}

/** Whether element i of a channels x height x width tensor is at an anchor. */
export function isAnchor(i: number, height: number, width: number): boolean {
  const position = i % (height * width)
  return (Math.floor(position / width) + (position % width)) % 2 === 1
}

/** A planar float image in [0, 1], values outside clamped, as interleaved 8-bit RGB. */
export function rgbOf(planar: ArrayLike<number>, height: number, width: number): Uint8Array {
  const area = height * width
  return Uint8Array.from({ length: 3 * area }, (_, i) => {
    const value = planar[(i % 3) * area + Math.floor(i / 3)] as number
    return Math.round(Math.min(1, Math.max(0, value)) * 255)
  })
}
