/** Whether model files written by docs/model-format.md are read by the package, and those of training by the page. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readModelFile } from '../../../src/model/model.js'
import type { FormatDocument } from '../../archive/format/document.js'
import { nanoModelFile } from '../../network/golden.js'
import { someTables } from '../model-files.js'
import {
  integerTensor,
  isExponent,
  isValue,
  mostValuesAByte,
  readModel,
  type Tensor,
  unpacked,
  type Whole,
  writeModel,
} from './model-file.js'

const nano = readFileSync(nanoModelFile)
const nanoRead = await readModelFile(nano)
const tables = someTables(8)

/** A model file that training wrote is, by the page, what the package reads. */
async function readsFiles(document: FormatDocument): Promise<void> {
  const { metadata, tensors } = readModel(document, nano)
  assert.equal(metadata.hash, nanoRead.metadata.hash)
  assert.deepEqual([...tensors.keys()].sort(), [...nanoRead.tensors.keys()].sort())
  for (const [name, { dtype, shape, bytes }] of tensors) {
    const found = nanoRead.tensors.get(name)
    assert.deepEqual([found?.dtype, found?.shape], [dtype, shape], name)
    assert.deepEqual(Buffer.from(nanoRead.raw.get(name) as Uint8Array), Buffer.from(bytes), name)
  }
}

/** Its tensors are of the names, types and sizes that the page lists. */
async function listsTensors(document: FormatDocument): Promise<void> {
  const patterns = Array.from(document.rows('tensor'), ([names, [dtype, numbers = '']]) => {
    const text = names
      .split(', ')
      .map((name) => name.replaceAll('.', '\\.').replace('NAME', '.+').replace(/\bN\b/, '\\d+'))
    return { pattern: new RegExp(`^(${text.join('|')})$`), dtype, first: /^\d+/.exec(numbers)?.[0] }
  })
  const seen = new Set<object>()
  for (const [name, { dtype, shape }] of nanoRead.tensors) {
    const rows = patterns.filter(({ pattern, dtype: type, first }) => {
      return pattern.test(name) && type === dtype && (first === undefined || shape[0] === Number(first))
    })
    // If two fit, the one that says how many numbers is meant.
    const row = rows.find(({ first }) => first !== undefined) ?? rows[0]
    assert.ok(row, `${name} ${dtype} ${shape}`)
    seen.add(row)
  }
  assert.equal(seen.size, patterns.length)
}

/** Values of one row and column, in a shape of that many dimensions. */
function small(dimensions: number, change: Partial<Whole> = {}): Whole {
  const shape = [1, 1, ...new Array<number>(Math.max(0, dimensions - 2)).fill(1)].slice(0, dimensions)
  return {
    ...{ dtype: 'F16', shape: shape as [number, number], values: [3], exponents: [0], rows: [1], columns: [2] },
    ...change,
  }
}

const plain = (document: FormatDocument): Map<string, Tensor> =>
  new Map([
    ['plain.i32', integerTensor(document, 'I32', [-1, 2 ** 31 - 1])],
    ['plain.i16', integerTensor(document, 'I16', [-1, 2, -3])],
    ['plain.u8', integerTensor(document, 'U8', [255, 0])],
    ['plain.f16', integerTensor(document, 'F16', [0x3c00, 0xbc00])],
    ['plain.f32', integerTensor(document, 'F32', [0x3f800000])],
  ])

async function reads(document: FormatDocument, packed: ReadonlyMap<string, Whole>): Promise<void> {
  const config = '{"preset":"none"}'
  const { tensors, raw } = await readModelFile(writeModel(document, { config }, plain(document), packed, tables))
  const wanted = new Map([...plain(document), ...unpacked(document, packed)])
  assert.deepEqual([...tensors.keys()].sort(), [...wanted.keys()].sort())
  for (const [name, { dtype, shape, bytes }] of wanted) {
    assert.deepEqual([tensors.get(name)?.dtype, tensors.get(name)?.shape], [dtype, shape])
    assert.deepEqual(Buffer.from(raw.get(name) as Uint8Array), Buffer.from(bytes), name)
  }
}

/** A file by the page is read by the package, with more values than a stream has. */
async function writesFiles(document: FormatDocument): Promise<void> {
  const [rows, columns] = [
    [0, 3, 1],
    [0, 2, 4, 1],
  ]
  const values = Array.from({ length: 3 * 4 * 1400 }, (_, i) => ((i * i) % 13) - 6)
  const packed = new Map<string, Whole>([
    ['long', { dtype: 'I16', shape: [3, 4, 1400], values, exponents: [], rows, columns }],
    [
      'halves',
      { dtype: 'F16', shape: [2, 2], values: [1, -2047, 0, 5], exponents: [-24, 4], rows: [7, 0], columns: [0, 0] },
    ],
  ])
  await reads(document, packed)
}

/** What is just within the page's limits is read, and what is just beyond them is refused. */
async function limits(document: FormatDocument): Promise<void> {
  const refuses = async (tensor: Whole) => {
    const file = writeModel(document, { config: '' }, new Map(), new Map([['a', tensor]]), tables)
    await assert.rejects(readModelFile(file), { code: 'ERR_MODEL_CORRUPT' })
  }
  const [least, most] = ['least', 'most'].map((label) => document.number('shape', label)) as [number, number]
  for (const dimensions of [least, most]) await reads(document, new Map([['a', small(dimensions)]]))
  for (const dimensions of [least - 1, most + 1]) await refuses(small(dimensions))
  const [low, high] = [
    -document.number('an exponent is', 'at least minus'),
    document.number('an exponent is', 'at most'),
  ]
  for (const exponent of [low, high]) {
    assert.ok(isExponent(document, exponent))
    await reads(document, new Map([['a', small(2, { exponents: [exponent], values: [1] })]]))
  }
  for (const exponent of [low - 1, high + 1]) {
    // Zero is a number of binary16 under any exponent.
    await refuses(small(2, { exponents: [exponent], values: [0] }))
  }
  const [bottom, top] = [-document.number('a value is', 'at least minus'), document.number('a value is', 'below') - 1]
  assert.ok(isValue(document, bottom) && isValue(document, top))
  const integers = { dtype: 'I16', exponents: [], rows: [7], columns: [0] } as const
  await reads(
    document,
    new Map([['a', small(2, { ...integers, shape: [1, 2], columns: [0, 0], values: [bottom, top] })]]),
  )
  for (const value of [bottom - 1, top + 1]) await refuses(small(2, { ...integers, values: [value] }))
}

/** A stream of values that take next to nothing is refused from the page's number of values a byte on. */
async function boundsMemory(document: FormatDocument): Promise<void> {
  const nearlyNothing = {
    ...{ values: Int32Array.of(0, 65535, 65536), offset: Int32Array.of(0) },
    ...{ size: Int32Array.of(2), min: Int32Array.of(0) },
  }
  const length = 4 * mostValuesAByte(document)
  const file = (count: number) => {
    const zeros = { values: new Array<number>(count).fill(0), rows: [0], columns: [0], exponents: [] }
    const packed = new Map([['a', { dtype: 'I16', shape: [1, 1, count], ...zeros } as Whole]])
    return writeModel(document, { config: '' }, new Map(), packed, nearlyNothing)
  }
  assert.equal((await readModelFile(file(length))).tensors.get('a')?.data.length, length)
  await assert.rejects(readModelFile(file(length + 1)), {
    code: 'ERR_MODEL_CORRUPT',
    message: /than the file has room for/,
  })
}

export const modelChecks: Readonly<Record<string, (document: FormatDocument) => Promise<void>>> = {
  'files that are within the limits are read, others are refused': limits,
  'few bytes stand for few values': boundsMemory,
  'files by the page are read': writesFiles,
  "the model's tensors are as listed": listsTensors,
  "training's files are as the page says": readsFiles,
}
