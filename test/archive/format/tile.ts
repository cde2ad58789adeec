/** Tiles by docs/format.md. Of the package only the network is used, which the page refers to for the tables of y. */
import { gainsAt } from '../../../src/codec/gain.js'
import { openCpu } from '../../../src/cpu/backend.js'
import type { Model } from '../../../src/model/model.js'
import { type DecoderGraph, decoderGraph } from '../../../src/network/cleric.js'
import type { Executable, PortData, Tensor } from '../../../src/network/graph.js'
import { checksum, type FormatDocument, numberOf, readMember, type Structure, writeStructure } from './document.js'
import { encodeStream, type Slots, StreamReader, stepsOf } from './rans.js'

export interface Size {
  readonly width: number
  readonly height: number
}

/** What a tile is coded from. */
export interface Symbols {
  readonly z: Int16Array
  /** One for each half of each slice: a whole slice, zero at the other half. */
  readonly halves: readonly Int16Array[]
}

/** The table of each symbol of a half of a slice, given the symbols before. */
type TablesOfHalf = (half: number, before: Symbols) => Promise<Int16Array>

/** The network of a model, for tiles of one size. */
export class Network {
  readonly model: Model
  readonly #plan: DecoderGraph
  readonly #executable: Executable

  private constructor(model: Model, plan: DecoderGraph, executable: Executable) {
    this.model = model
    this.#plan = plan
    this.#executable = executable
  }

  static async open(model: Model, { width, height }: Size): Promise<Network> {
    const plan = decoderGraph(model.config, model.parameters, height, width)
    const backend = await openCpu()
    return new Network(model, plan, await backend.compile(plan.graph, model.parameters))
  }

  readonly tablesOfHalf: TablesOfHalf = async (half, before) => {
    const { indexes } = this.#plan.halves[half] as DecoderGraph['halves'][number]
    const outputs = await this.#run(half, before)
    const coded = outputs.get(indexes) as Int16Array
    const { channels, height, width } = indexes.shape
    const tables = new Int16Array(channels * height * width)
    for (const [i, at] of [...positionsOf(indexes.shape, half % 2 === 0)].entries()) tables[at] = coded[i] as number
    return tables
  }

  async pixels(symbols: Symbols, quality: number): Promise<PortData> {
    for (const half of this.#plan.halves.keys()) await this.#run(half, symbols)
    const gain = gainsAt(this.model, quality)?.inverse as Float32Array
    const outputs = await this.#run(this.#plan.halves.length, symbols, [[this.#plan.gain as Tensor, gain]])
    return outputs.get(this.#plan.image) as PortData
  }

  /** Runs one stage. Those before it must have been run before, with the same symbols. */
  #run(stage: number, { z, halves }: Symbols, gain: [Tensor, PortData][] = []): Promise<Map<Tensor, PortData>> {
    const { symbols } = this.#plan.halves[stage - 1] ?? { symbols: this.#plan.z }
    const slice = halves[stage - 1]
    // A half of a slice goes into the network as it is coded.
    const half = slice && Int16Array.from(positionsOf(symbols.shape, stage % 2 === 1), (at) => slice[at] as number)
    const given = half ?? z
    return this.#executable.run(stage, new Map<Tensor, PortData>([[symbols, given], ...gain]))
  }
}

interface Latent extends Size {
  readonly channels: number
}

/** Sizes of z and of a slice of y of a tile. */
function latents(document: FormatDocument, { config }: Model, tile: Size): { z: Latent; slice: Latent } {
  const multiple = document.number('sides', 'the tile is padded to a multiple of')
  const latent = (label: string, channels: number): Latent => {
    const side = (pixels: number) => (Math.ceil(pixels / multiple) * multiple) / document.number('sides', label)
    return { channels, width: side(tile.width), height: side(tile.height) }
  }
  return {
    z: latent('a position of z', config.Z),
    slice: latent('a position of y', config.M / config.slices),
  }
}

/** Where the symbols of a half are in a slice, in coding order. */
function* positionsOf({ channels, width, height }: Latent, isAnchor: boolean): Generator<number> {
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        if (((row + column) % 2 === 1) === isAnchor) yield (channel * height + row) * width + column
      }
    }
  }
}

/** Symbols of a tile, `value` of each in coding order. */
export function makeSymbols(document: FormatDocument, model: Model, tile: Size, value: () => number): Symbols {
  const { z, slice } = latents(document, model, tile)
  return {
    z: Int16Array.from({ length: z.channels * z.height * z.width }, value),
    halves: Array.from({ length: 2 * model.config.slices }, (_, half) => {
      const symbols = new Int16Array(slice.channels * slice.height * slice.width)
      for (const at of positionsOf(slice, half % 2 === 0)) symbols[at] = value()
      return symbols
    }),
  }
}

/** The bytes of a tile as an archive has them. */
export async function encodeTile(
  document: FormatDocument,
  model: Model,
  tile: Size,
  symbols: Symbols,
  tablesOfHalf: TablesOfHalf,
): Promise<Uint8Array> {
  const { z, slice } = latents(document, model, tile)
  const steps: Slots[] = []
  const coded: number[] = []
  const area = z.width * z.height
  for (const [i, value] of symbols.z.entries()) {
    coded.push(value)
    steps.push(...stepsOf(document, model.zTables, Math.floor(i / area), value))
  }
  for (const [half, values] of symbols.halves.entries()) {
    const tables = await tablesOfHalf(half, symbols)
    for (const at of positionsOf(slice, half % 2 === 0)) {
      const value = values[at] as number
      coded.push(value)
      steps.push(...stepsOf(document, model.yTables, tables[at] as number, value))
    }
  }
  const stream = encodeStream(document, steps)
  const head = writeStructure(checkedTile(document), {
    [CRC]: checksum(document, new Uint8Array(Int16Array.from(coded).buffer)),
    [LENGTH]: stream.length,
  })
  return Uint8Array.from([...head, ...stream])
}

const CRC = 'CRC-32C of the symbols, each an int16, in the order in which they are coded'
const LENGTH = 'length of the rANS stream, which ends the tile'
const COMPLEMENT = /^(\d+) - v\b/

/** The structure of a tile's head, whose second byte must follow from its first as the page says. */
export function checkedTile(document: FormatDocument, name = 'tile'): Structure {
  const structure = document.structure(name)
  const members = [...structure.members]
  const [, version] = members.find(([label]) => /\bversion v\b/.test(label)) ?? []
  const [label, complement] = members.find(([label]) => COMPLEMENT.test(label)) ?? []
  const sum = Number(COMPLEMENT.exec(label ?? '')?.[1])
  if (numberOf(complement?.value ?? '') !== sum - numberOf(version?.value ?? '')) throw new Error(`${name}: ${label}`)
  return structure
}

/** The symbols of a tile's bytes; fails if anything in them is not as the page says. */
export async function decodeTile(
  document: FormatDocument,
  model: Model,
  tile: Size,
  bytes: Uint8Array,
  tablesOfHalf: TablesOfHalf,
): Promise<Symbols> {
  const structure = checkedTile(document)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (const [name, { value }] of structure.members) {
    if (value !== '' && readMember(structure, view, 0, name) !== numberOf(value)) throw new Error(`${name} is another`)
  }
  const stream = bytes.subarray(structure.size)
  if (readMember(structure, view, 0, LENGTH) !== stream.length) throw new Error('the length is another')

  const { z, slice } = latents(document, model, tile)
  const reader = new StreamReader(document, stream)
  const coded: number[] = []
  const read = (tables: Model['yTables'], table: number) => {
    const value = reader.read(tables, table)
    coded.push(value)
    return value
  }
  const area = z.width * z.height
  const length = z.channels * area
  const zSymbols = Int16Array.from({ length }, (_, i) => read(model.zTables, Math.floor(i / area)))
  const halves: Int16Array[] = []
  for (let half = 0; half < 2 * model.config.slices; half++) {
    const tables = await tablesOfHalf(half, { z: zSymbols, halves })
    const symbols = new Int16Array(slice.channels * slice.height * slice.width)
    for (const at of positionsOf(slice, half % 2 === 0)) symbols[at] = read(model.yTables, tables[at] as number)
    halves.push(symbols)
  }
  reader.finish()
  const crc = checksum(document, new Uint8Array(Int16Array.from(coded).buffer))
  if (crc !== readMember(structure, view, 0, CRC)) throw new Error('the checksum is another')
  return { z: zSymbols, halves }
}
