import { readPickle } from '../../src/checkpoint/pickle.js'
import { ZipFile } from '../../src/checkpoint/zip.js'
import { unpack } from '../../src/model/packing.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { packedParts, type Stored, safetensorsFile, stored } from '../model/model-files.js'
import type { Target } from './fuzz.js'
import { memoryFile } from './memory-file.js'

const CODES = /^ERR_MODEL_(CORRUPT|UNSUPPORTED)$/

export const safetensorsTarget: Target = {
  codes: CODES,
  covers: ['src/model/safetensors.ts'],
  async seeds() {
    const tensors = new Map<string, Stored>([
      ['a', stored('I32', Int32Array.of(1, -2))],
      ['b', stored('I16', Int16Array.of(1, -2, 3))],
      ['c', stored('F16', Uint16Array.of(0x3c00, 0xc000))],
      ['d', stored('U8', Uint8Array.of(5))],
      ['e', { ...stored('I32', Int32Array.of(7)), dtype: 'F32' }],
    ])
    return [safetensorsFile({ name: 'x', config: '{}' }, tensors), safetensorsFile({}, new Map()), new Uint8Array(8)]
  },
  parse: readSafetensors,
}

export const modelTarget: Target = {
  codes: CODES,
  covers: ['src/model/packing.ts'],
  async seeds() {
    const { parts, packed } = await packedParts([
      {
        name: 'a',
        shape: [4, 5],
        values: Int16Array.from({ length: 20 }, (_, i) => i - 9),
        rows: [0, 1, 2, 3],
        columns: [4, 0, 0, 1, 2],
      },
      {
        ...{ name: 'b', shape: [2, 1, 3], values: Int16Array.of(1, 2, 3, -4, 5, 2047) },
        ...{ exponents: [-3, -24], rows: [1, 2], columns: [0] },
      },
    ])
    return [safetensorsFile({ packed }, parts)]
  },
  async parse(bytes) {
    await unpack(readSafetensors(bytes))
  },
}

/** Opcodes of every kind that is understood, and strings for their characters. */
const PICKLES: readonly (readonly (number | string)[])[] = [
  [0x80, 2, '}', 'q', 0, '(', 'X', 5, 0, 0, 0, 'alpha', 'K', 7, 0x8c, 1, 'b', 'M', 1, 2, 'u', '.'],
  [0x80, 4, 0x95, 9, 0, 0, 0, 0, 0, 0, 0, ']', 0x94, '(', 'N', 0x88, 0x89, 'e', '.'],
  ['ccollections\nOrderedDict\n', ')', 'R', 'q', 1, 0x8c, 1, 'k', 'J', 1, 2, 3, 255, 's', 'h', 1, 'a', '.'],
  [0x8c, 2, 'os', 0x8c, 6, 'system', 0x93, ')', 0x81, 'N', 'b', '.'],
  ['(', 'U', 2, 'ab', 'C', 1, 'x', 'T', 1, 0, 0, 0, 'y', 'B', 1, 0, 0, 0, 'z', 't', 'Q', '.'],
  [']', ']', 'a', 'K', 1, 0x85, 'K', 2, 0x86, '2', 'K', 3, 0x87, 'r', 1, 0, 0, 0, 'j', 1, 0, 0, 0, '0', '.'],
  ['G', 64, 9, 33, 251, 84, 68, 45, 24, 0x8a, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x86, '(', 'N', '1', '.'],
  ['(', 'K', 1, 'K', 2, 'l', '.'],
]

export const pickleTarget: Target = {
  codes: CODES,
  covers: ['src/checkpoint/pickle.ts'],
  async seeds() {
    return PICKLES.map((parts) =>
      Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...Buffer.from(part)] : [part]))),
    )
  },
  parse: readPickle,
}

/** A ZIP file of stored entries; with `isLarge` its numbers are in the fields of ZIP64. */
function zip(entries: readonly (readonly [name: string, bytes: string])[], isLarge: boolean): Uint8Array {
  const [files, directory]: [Buffer[], Buffer[]] = [[], []]
  let offset = 0
  for (const [name, bytes] of entries) {
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(name.length, 26)
    const extra = Buffer.alloc(isLarge ? 28 : 0)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    for (const at of [20, 24]) entry.writeUInt32LE(isLarge ? 0xffffffff : bytes.length, at)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt16LE(extra.length, 30)
    entry.writeUInt32LE(isLarge ? 0xffffffff : offset, 42)
    if (isLarge) {
      extra.writeUInt16LE(1, 0)
      extra.writeUInt16LE(24, 2)
      for (const [i, value] of [bytes.length, bytes.length, offset].entries()) extra.writeUInt32LE(value, 4 + 8 * i)
    }
    files.push(local, Buffer.from(name + bytes))
    directory.push(entry, Buffer.from(name), extra)
    offset += 30 + name.length + bytes.length
  }
  const length = directory.reduce((sum, piece) => sum + piece.length, 0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt32LE(length, 12)
  end.writeUInt32LE(isLarge ? 0xffffffff : offset, 16)
  const [end64, locator] = [Buffer.alloc(isLarge ? 56 : 0), Buffer.alloc(isLarge ? 20 : 0)]
  if (isLarge) {
    end64.writeUInt32LE(0x06064b50, 0)
    end64.writeUInt32LE(length, 40)
    end64.writeUInt32LE(offset, 48)
    locator.writeUInt32LE(0x07064b50, 0)
    locator.writeUInt32LE(offset + length, 8)
  }
  return Buffer.concat([...files, ...directory, end64, locator, end])
}

export const zipTarget: Target = {
  codes: CODES,
  covers: ['src/checkpoint/zip.ts'],
  async seeds() {
    const entries = [
      ['m/data.pkl', 'N.'],
      ['m/data/0', '12345678'],
    ] as const
    return [zip(entries, false), zip(entries, true), zip([], false)]
  },
  async parse(bytes) {
    const file = await ZipFile.open(memoryFile(bytes))
    for (const entry of file.entries.values()) {
      await file.read(entry)
      await file.read(entry, 1, 1)
    }
  },
}
