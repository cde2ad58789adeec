/**
 * One tile through the network and the entropy coder, on any backend. No argument is checked here: `codec.ts` does.
 */
import { crc32c } from '../entropy/crc32c.js'
import { type CdfTables, RansDecoder, RansEncoder, RansTables, type TableIndexes } from '../entropy/rans.js'
import { CorruptDataError, DeviceError } from '../errors.js'
import { cropImage, type Image, padImage, type Size } from '../image/image.js'
import type { Model } from '../model/model.js'
import {
  checkParameters,
  type DecoderGraph,
  decoderGraph,
  type EncoderGraph,
  encoderGraph,
  type LatentDecoderGraph,
  type LatentEncoderGraph,
  latentDecoderGraph,
  latentEncoderGraph,
  PAD_MULTIPLE,
  type Reconstruction,
  type SymbolPorts,
} from '../network/cleric.js'
import type { ModelConfig } from '../network/config.js'
import type { Backend, Parameters, PortData, Tensor } from '../network/graph.js'
import { Batches, type Runner } from './batches.js'
import { type Payload, readPayload, writePayload } from './bitstream.js'
import { decodeClassic } from './classic.js'
import { channelIndexes } from './coding-order.js'
import { ExecutablePool } from './executable-pool.js'
import { gainsAt } from './gain.js'
import { type Latents, latentsOf } from './latents.js'
import { Recent } from './recent.js'

/** Executables kept: a slide needs one a tile in flight and one for the tiles at its edge. */
const KEPT_EXECUTABLES = 4
/** Tile sizes whose encoder graphs are kept, and as many for decoder graphs. Executables are found by their graph. */
const KEPT_SIZES = 4

/** The graph for a size of tile. */
interface Sized<G> {
  readonly plan: G
  /** Table index of every hyper-latent symbol. */
  readonly channelOfZ: Uint16Array
}

/** A tile's bytes, and what they show. */
export interface EncodedTile {
  readonly payload: Uint8Array
  /** The pixels that {@link TileCodec.decode} makes of the payload on this device: the same to the bit. */
  readonly decoded: Image
}

/** Wraps each piece of the entropy coder's work, so that it can be timed. */
export type ObserveCoding = <T>(work: () => Promise<T>) => Promise<T>

/** Calls may overlap: those for one size of tile may share an executable. */
export class TileCodec implements Disposable {
  readonly #model: Model
  readonly #executables: ExecutablePool
  readonly #batches: Batches
  readonly #yTables: RansTables
  readonly #zTables: RansTables
  readonly #observe: ObserveCoding
  readonly #encoders = new Recent<Sized<EncoderGraph>>(KEPT_SIZES)
  readonly #reconstructing = new Recent<Sized<EncoderGraph>>(KEPT_SIZES)
  readonly #decoders = new Recent<Sized<DecoderGraph>>(KEPT_SIZES)
  readonly #latentEncoders = new Recent<Sized<LatentEncoderGraph>>(KEPT_SIZES)
  readonly #latentDecoders = new Recent<Sized<LatentDecoderGraph>>(KEPT_SIZES)

  /** @throws CorruptDataError ERR_MODEL_CORRUPT if the model's tables are unsound, or its parameters don't fit */
  constructor(model: Model, backend: Backend, observe: ObserveCoding = (work) => work()) {
    checkParameters(model.config, model.parameters)
    this.#model = model
    this.#executables = new ExecutablePool(backend, model.parameters, KEPT_EXECUTABLES)
    this.#batches = new Batches(backend, model.parameters, this.#executables)
    this.#yTables = checkedTables(model.yTables)
    this.#zTables = checkedTables(model.zTables)
    this.#observe = observe
  }

  /** Payload bytes (`bitstream.ts`) of an image of at most 1024 x 1024 pixels. */
  async encode(image: Image, quality: number, signal?: AbortSignal): Promise<Uint8Array> {
    const padded = padImage(image, PAD_MULTIPLE)
    const sized = this.#sized(this.#encoders, encoderGraph, padded.height, padded.width)
    const outputs = await this.#batches.use(sized.plan.graph, (executable) =>
      this.#analyse(executable, sized.plan, padded, quality, signal),
    )
    return this.#observe(() => this.#code(sized, outputs))
  }

  /** {@link encode}, with the pixels that the payload will decode to, for the price of g_s. */
  async encodeChecked(image: Image, quality: number, signal?: AbortSignal): Promise<EncodedTile> {
    const padded = padImage(image, PAD_MULTIPLE)
    const sized = this.#sized(this.#reconstructing, reconstructingGraph, padded.height, padded.width)
    const { plan } = sized
    const { gain, image: shown } = plan.reconstruction as Reconstruction
    const [outputs, data] = await this.#batches.use(plan.graph, async (executable) => {
      const symbols = await this.#analyse(executable, plan, padded, quality, signal)
      const gains = gainsAt(this.#model, quality)
      const inputs = new Map<Tensor, PortData>(gain && gains ? [[gain, gains.inverse]] : [])
      const pixels = await executable.run(1, inputs, signal)
      return [symbols, pixels.get(shown) as Uint8Array]
    })
    const payload = await this.#observe(() => this.#code(sized, outputs))
    return { payload, decoded: cropImage({ ...padded, data }, image.width, image.height) }
  }

  /** The first stage of an encoder graph, for an image whose sides are multiples of 64. */
  #analyse(
    executable: Runner,
    plan: Pick<EncoderGraph, 'image' | 'gain'>,
    { data }: Image,
    quality: number,
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<Tensor, PortData>> {
    const inputs = new Map<Tensor, PortData>([[plan.image, data]])
    const gains = gainsAt(this.#model, quality)
    if (plan.gain && gains) inputs.set(plan.gain, gains.forward)
    return executable.run(0, inputs, signal)
  }

  /** Codes the outputs of an encoder graph into a payload. */
  async #code({ plan, channelOfZ }: Sized<EncoderGraph>, outputs: ReadonlyMap<Tensor, PortData>): Promise<Uint8Array> {
    const encoder = new RansEncoder()
    let crc = 0
    const push = (symbols: Int16Array, indexes: TableIndexes, tables: RansTables) => {
      encoder.push(symbols, indexes, tables)
      crc = crcOfSymbols(symbols, crc)
    }
    push(int16(outputs, plan.z), channelOfZ, this.#zTables)
    for (const slice of plan.slices) {
      push(int16(outputs, slice.symbols), asIndexes(int16(outputs, slice.indexes)), this.#yTables)
    }
    return writePayload({ kind: 'cleric', crc, stream: await encoder.finish() })
  }

  /**
   * The image of a payload, of the network or of a classic codec.
   *
   * @throws CorruptDataError ERR_CORRUPT_TILE if the payload is not what an encoder wrote
   */
  async decode(payload: Uint8Array, size: Size, quality: number, signal?: AbortSignal): Promise<Image> {
    const read = readPayload(payload)
    if (read.kind !== 'cleric') return decodeClassic(read.kind, read.stream, size)
    const padded = paddedSize(size)
    const sized = this.#sized(this.#decoders, decoderGraph, padded.height, padded.width)
    const { plan } = sized
    const data = await this.#batches.use(plan.graph, async (executable) => {
      const inputs = await this.#decodeSymbols(executable, sized, read, signal)
      const gains = gainsAt(this.#model, quality)
      if (plan.gain && gains) inputs.set(plan.gain, gains.inverse)
      const outputs = await executable.run(plan.halves.length, inputs, signal)
      return outputs.get(plan.image) as Uint8Array
    })
    return cropImage({ data, ...padded, channels: 3 }, size.width, size.height)
  }

  /**
   * The latents of a payload of the network; null for one of a classic codec, which has none.
   *
   * @throws CorruptDataError ERR_CORRUPT_TILE if the payload is not what an encoder wrote
   */
  async decodeLatents(payload: Uint8Array, size: Size, quality: number, signal?: AbortSignal): Promise<Latents | null> {
    const read = readPayload(payload)
    if (read.kind !== 'cleric') return null
    const padded = paddedSize(size)
    const sized = this.#sized(this.#latentDecoders, latentDecoderGraph, padded.height, padded.width)
    const { plan } = sized
    const yHat = await this.#batches.use(plan.graph, async (executable) => {
      const inputs = await this.#decodeSymbols(executable, sized, read, signal)
      const outputs = await executable.run(plan.halves.length, inputs, signal)
      return outputs.get(plan.yHat) as Float32Array
    })
    return latentsOf(yHat, padded, size, gainsAt(this.#model, quality)?.inverse ?? null, true)
  }

  /** The latents that {@link decodeLatents} would give of the payload that {@link encode} makes of an image. */
  async encodeLatents(image: Image, quality: number, signal?: AbortSignal): Promise<Latents> {
    const padded = padImage(image, PAD_MULTIPLE)
    const { plan } = this.#sized(this.#latentEncoders, latentEncoderGraph, padded.height, padded.width)
    const outputs = await this.#batches.use(plan.graph, (executable) =>
      this.#analyse(executable, plan, padded, quality, signal),
    )
    const yHat = outputs.get(plan.yHat) as Float32Array
    return latentsOf(yHat, padded, image, gainsAt(this.#model, quality)?.inverse ?? null, false)
  }

  /** Runs a decoder graph up to its last stage; the inputs of that. */
  async #decodeSymbols(
    executable: Runner,
    { plan, channelOfZ }: Sized<SymbolPorts>,
    { crc: expected, stream }: Payload,
    signal: AbortSignal | undefined,
  ): Promise<Map<Tensor, PortData>> {
    using decoder = new RansDecoder(stream)
    const z = await this.#observe(() => decoder.decode(channelOfZ, this.#zTables))
    let crc = crcOfSymbols(z, 0)
    let inputs = new Map<Tensor, PortData>([[plan.z, z]])
    for (const [stage, { indexes, symbols }] of plan.halves.entries()) {
      const outputs = await executable.run(stage, inputs, signal)
      const tables = asIndexes(int16(outputs, indexes))
      const values = await this.#observe(() => decoder.decode(tables, this.#yTables))
      crc = crcOfSymbols(values, crc)
      inputs = new Map([[symbols, values]])
    }
    decoder.finish()
    if (crc !== expected) {
      throw new CorruptDataError('ERR_CORRUPT_TILE', 'The tile is damaged: the checksum of its symbols does not agree')
    }
    return inputs
  }

  /** Frees the executables, not the backend. */
  close(): void {
    this.#executables.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #sized<G>(
    kept: Recent<Sized<G>>,
    build: (config: ModelConfig, parameters: Parameters, height: number, width: number) => G,
    height: number,
    width: number,
  ): Sized<G> {
    const { config, parameters } = this.#model
    return kept.get(`${height}x${width}`, () => ({
      plan: build(config, parameters, height, width),
      channelOfZ: channelIndexes({ channels: config.Z, height: height / 64, width: width / 64 }),
    }))
  }
}

function reconstructingGraph(config: ModelConfig, parameters: Parameters, height: number, width: number): EncoderGraph {
  return encoderGraph(config, parameters, height, width, true)
}

function paddedSize({ width, height }: Size): Size {
  const padded = (side: number) => Math.ceil(side / PAD_MULTIPLE) * PAD_MULTIPLE
  return { width: padded(width), height: padded(height) }
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
    throw new DeviceError('ERR_DEVICE_FAILED', `The backend gave no integers for ${tensor.name}`)
  }
  return data
}

/** Table indexes come from the device as int16; a negative one becomes too large, which the coder refuses. */
function asIndexes(values: Int16Array): Uint16Array {
  return new Uint16Array(values.buffer, values.byteOffset, values.length)
}

/** CRC-32C over int16 little-endian, whatever the host's order. */
function crcOfSymbols(symbols: Int16Array, seed: number): number {
  const stored = IS_LITTLE_ENDIAN ? symbols : symbols.map((symbol) => ((symbol & 0xff) << 8) | ((symbol >> 8) & 0xff))
  return crc32c(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), seed)
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
