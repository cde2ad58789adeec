/** Files of DICOM, read as far as tests need it: explicit VR little endian, with frames by either table of offsets. */
import { readFileSync } from 'node:fs'

export interface ReadInstance {
  /** Values of the data set's top level, meta information included, by "ggggeeee". */
  readonly values: ReadonlyMap<string, Buffer>
  readonly text: (tag: string) => string
  readonly frames: readonly Buffer[]
  /** Which table the frames' places are in. */
  readonly offsets: 'basic' | 'extended' | 'none'
  readonly bytes: Buffer
}

const LONG = ['OB', 'OW', 'OV', 'SQ', 'UT', 'UN']

export function readInstance(path: string): ReadInstance {
  const bytes = readFileSync(path)
  if (bytes.toString('latin1', 128, 132) !== 'DICM') throw new Error(`${path} is no DICOM`)
  const values = new Map<string, Buffer>()
  let at = 132
  let last = ''
  for (;;) {
    const tag = hex(bytes.readUInt16LE(at)) + hex(bytes.readUInt16LE(at + 2))
    // The meta information is a group of its own, and the order of tags holds within both.
    if (tag <= last) throw new Error(`${tag} comes after ${last}`)
    last = tag
    const isLong = LONG.includes(bytes.toString('latin1', at + 4, at + 6))
    const length = isLong ? bytes.readUInt32LE(at + 8) : bytes.readUInt16LE(at + 6)
    at += isLong ? 12 : 8
    if (tag === '7fe00010') return withFrames(bytes, values, at, length)
    if (length % 2 !== 0) throw new Error(`${tag} has ${length} bytes`)
    values.set(tag, bytes.subarray(at, at + length))
    at += length
  }
}

function withFrames(bytes: Buffer, values: Map<string, Buffer>, start: number, length: number): ReadInstance {
  const text = (tag: string) => (values.get(tag) ?? Buffer.from('absent')).toString('latin1').replace(/[ \0]+$/, '')
  const count = Number(text('00280008'))
  const read = { values, text, bytes }
  if (length !== 0xffffffff) {
    const size = length / count
    const frames = Array.from({ length: count }, (_, i) => bytes.subarray(start + i * size, start + (i + 1) * size))
    if (start + length !== bytes.length) throw new Error('something comes after the pixels')
    return { ...read, frames, offsets: 'none' }
  }
  const table = bytes.subarray(start + 8, start + 8 + bytes.readUInt32LE(start + 4))
  const [extended, lengths] = [values.get('7fe00001'), values.get('7fe00002')]
  const first = start + 8 + table.length
  let end = first
  const frames = Array.from({ length: count }, (_, i) => {
    const offset = extended ? Number(extended.readBigUInt64LE(8 * i)) : table.readUInt32LE(4 * i)
    const at = first + offset
    if (bytes.readUInt32LE(at) !== 0xe000fffe) throw new Error(`frame ${i} is no item`)
    const size = bytes.readUInt32LE(at + 4)
    if (lengths && Number(lengths.readBigUInt64LE(8 * i)) !== size) throw new Error(`frame ${i} has another length`)
    end = at + 8 + size
    return bytes.subarray(at + 8, end)
  })
  if (bytes.toString('hex', end) !== 'feffdde000000000')
    throw new Error('something else than the end comes after the frames')
  return { ...read, frames, offsets: extended ? 'extended' : 'basic' }
}

function hex(value: number): string {
  return value.toString(16).padStart(4, '0')
}
