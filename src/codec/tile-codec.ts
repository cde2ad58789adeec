/**
 * One tile through the network and the entropy coder, on any backend. No argument is checked here: `codec.ts` does.
 */
import { crc32c } from '../entropy/crc32c.js'
import { type CdfTables, RansDecoder, RansEncoder, RansTables, type TableIndexes } from '../entropy/rans.js'
import { CorruptDataError, UnsupportedError } from '../errors.js'
import type { Model } from '../model/model.js'
import {
  checkParameters,
  type DecoderGraph,
  decoderGraph,
  type EncoderGraph,
  encoderGraph,
  padMultiple,
} from '../network/cleric.js'
import type { Backend, Executable, PortData, Tensor } from '../network/graph.js'
import { readPayload, writePayload } from './bitstream.js'
import { channelIndexes, gather, halfPositions, scatter } from './coding-order.js'
import { gainsAt } from './gain.js'
import { cropImage, type Image, padImage } from './image.js'

/** Graphs kept compiled, of each direction: a slide needs one size, `encode` of mixed images a few. */
const keptGraphs = 2

interface Compiled<G> {
  readonly plan: G
  readonly executable: Executable
}

export class TileCodec {
  readonly #model: Model
  readonly #backend: Backend
  readonly #yTables: RansTables
  readonly #zTables: RansTables
  readonly #encoders = new Map<string, Compiled<EncoderGraph>>()
  readonly #decoders = new Map<string, Compiled<DecoderGraph>>()

  /** @throws CorruptDataError ERR_MODEL_CORRUPT if the model's tables are unsound, or its parameters don't fit */
  constructor(model: Model, backend: Backend) {
    checkParameters(model.config, model.parameters)
    this.#model = model
    this.#backend = backend
    this.#yTables = checkedTables(model.yTables)
    this.#zTables = checkedTables(model.zTables)
  }

  /** Payload bytes (`bitstream.ts`) of an image of at most 1024 x 1024 pixels. */
  async encode(image: Image, quality: number, signal?: AbortSignal): Promise<Uint8Array> {
    const padded = padImage(image, padMultiple)
    const { plan, executable } = await this.#encoder(padded.height, padded.width)
    const inputs = new Map<Tensor, PortData>([[plan.image, padded.data]])
    const gains = gainsAt(this.#model, quality)
    if (plan.gain && gains) inputs.set(plan.gain, gains.forward)
    const outputs = await executable.run(0, inputs, signal)

    const encoder = new RansEncoder()
    let crc = 0
    const push = (symbols: Int16Array, indexes: TableIndexes, tables: RansTables) => {
      encoder.push(symbols, indexes, tables)
      crc = crcOfSymbols(symbols, crc)
    }
    push(int16(outputs, plan.z), channelIndexes(plan.z.shape), this.#zTables)
    for (const slice of plan.slices) {
      const symbols = int16(outputs, slice.symbols)
      const indexes = int16(outputs, slice.indexes)
      for (const half of ['anchor', 'nonAnchor'] as const) {
        const positions = halfPositions(slice.symbols.shape, half)
        push(gather(symbols, positions), asIndexes(gather(indexes, positions)), this.#yTables)
      }
    }
    return writePayload({ crc, stream: encoder.finish() })
  }

  /**
   * The image of a payload.
   *
   * @throws CorruptDataError ERR_CORRUPT_TILE if the payload is not what {@link encode} wrote
   */
  async decode(
    payload: Uint8Array,
    size: { readonly width: number; readonly height: number },
    quality: number,
    signal?: AbortSignal,
  ): Promise<Image> {
    const { crc: expected, stream } = readPayload(payload)
    const height = Math.ceil(size.height / padMultiple) * padMultiple
    const width = Math.ceil(size.width / padMultiple) * padMultiple
    const { plan, executable } = await this.#decoder(height, width)
    using decoder = new RansDecoder(stream)

    const z = decoder.decode(channelIndexes(plan.z.shape), this.#zTables)
    let crc = crcOfSymbols(z, 0)
    let inputs = new Map<Tensor, PortData>([[plan.z, z]])
    for (const [stage, { half, indexes, symbols }] of plan.halves.entries()) {
      const outputs = await executable.run(stage, inputs, signal)
      const positions = halfPositions(symbols.shape, half)
      const values = decoder.decode(asIndexes(gather(int16(outputs, indexes), positions)), this.#yTables)
      crc = crcOfSymbols(values, crc)
      const { channels, height: rows, width: columns } = symbols.shape
      inputs = new Map([[symbols, scatter(values, positions, channels * rows * columns)]])
    }
    decoder.finish()
    if (crc !== expected) {
      throw new CorruptDataError('ERR_CORRUPT_TILE', 'The tile is damaged: the checksum of its symbols does not agree')
    }
    const gains = gainsAt(this.#model, quality)
    if (plan.gain && gains) inputs.set(plan.gain, gains.inverse)
    const outputs = await executable.run(plan.halves.length, inputs, signal)
    const image: Image = { data: outputs.get(plan.image) as Uint8Array, width, height, channels: 3 }
    return cropImage(image, size.width, size.height)
  }

  /** Frees the compiled graphs, not the backend. */
  close(): void {
    for (const { executable } of [...this.#encoders.values(), ...this.#decoders.values()]) executable.close()
    this.#encoders.clear()
    this.#decoders.clear()
  }

  #encoder(height: number, width: number): Promise<Compiled<EncoderGraph>> {
    const { config, parameters } = this.#model
    return this.#compiled(this.#encoders, height, width, () => encoderGraph(config, parameters, height, width))
  }

  #decoder(height: number, width: number): Promise<Compiled<DecoderGraph>> {
    const { config, parameters } = this.#model
    return this.#compiled(this.#decoders, height, width, () => decoderGraph(config, parameters, height, width))
  }

  /** Compiled graphs by size; the least recently used goes first. */
  async #compiled<G extends EncoderGraph | DecoderGraph>(
    cache: Map<string, Compiled<G>>,
    height: number,
    width: number,
    build: () => G,
  ): Promise<Compiled<G>> {
    const key = `${height}x${width}`
    let entry = cache.get(key)
    if (entry) cache.delete(key)
    else {
      const plan = build()
      entry = { plan, executable: await this.#backend.compile(plan.graph, this.#model.parameters) }
    }
    cache.set(key, entry)
    for (const [oldest, { executable }] of cache) {
      if (cache.size <= keptGraphs) break
      executable.close()
      cache.delete(oldest)
    }
    return entry
  }
}

function checkedTables(tables: CdfTables): RansTables {
  try {
    return new RansTables(tables)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new CorruptDataError('ERR_MODEL_CORRUPT', `The model's tables are unsound: ${cause.message}`, { cause })
  }
}

function int16(outputs: ReadonlyMap<Tensor, PortData>, tensor: Tensor): Int16Array {
  const data = outputs.get(tensor)
  if (!(data instanceof Int16Array)) {
    throw new UnsupportedError('ERR_DEVICE_FAILED', `The backend gave no integers for ${tensor.name}`)
  }
  return data
}

/** Table indexes come from the device as int16; a negative one becomes too large, which the coder refuses. */
function asIndexes(values: Int16Array): Uint16Array {
  return new Uint16Array(values.buffer, values.byteOffset, values.length)
}

/** CRC-32C over int16 little-endian, whatever the host's order. */
function crcOfSymbols(symbols: Int16Array, seed: number): number {
  const bytes = new Uint8Array(symbols.buffer, symbols.byteOffset, symbols.byteLength)
  return crc32c(littleEndian ? bytes : Buffer.from(bytes).swap16(), seed)
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
