/** A codec whose time can be told apart: the network, by parts, and the entropy coder. */
import { type Image, type ImageInput, psnr } from 'cleric'
import {
  type Backend,
  BusyClock,
  CpuExecutable,
  type Executable,
  type Graph,
  type Model,
  nodeOutputs,
  type PayloadCodec,
  TileCodec,
  Turns,
} from 'cleric/internal'

/** Analysis and hyper-analysis; what both directions do in integers; synthesis. */
export const NETWORK_PARTS = ['analysis', 'entropy model', 'synthesis'] as const
export type NetworkPart = (typeof NETWORK_PARTS)[number]

export interface Observed {
  /** Since when. */
  readonly seconds: number
  /** During which the device ran a stage of the network. */
  readonly networkSeconds: number
  /** During which symbols were being coded. */
  readonly codingSeconds: number
  /** Shares of the network's time; null where a device doesn't tell them apart: of encoding only the processor does. */
  readonly parts: Readonly<Record<NetworkPart, number>> | null
}

/** A compression's images are RGB. */
function rgbOf({ data: { buffer, byteOffset, length }, width, height }: ImageInput): Image {
  return { data: new Uint8Array(buffer, byteOffset, length), width, height, channels: 3 }
}

/** As {@link Codec}, for `tilesInFlight` calls at a time. Closes neither model nor backend. */
export class ObservedCodec implements PayloadCodec {
  readonly model: PayloadCodec['model']
  readonly device: PayloadCodec['device']
  readonly tilesInFlight: number
  readonly #tiles: TileCodec
  readonly #turns: Turns
  #started = performance.now()
  #network = new BusyClock()
  #coding = new BusyClock()
  #parts = noParts()
  #areTold = true

  constructor(model: Model, backend: Backend, tilesInFlight = backend.tilesInFlight * (backend.tilesTogether ?? 1)) {
    this.model = { name: model.name, hash: model.hash }
    this.device = { kind: backend.kind, name: backend.name }
    this.tilesInFlight = tilesInFlight
    this.#turns = new Turns(tilesInFlight)
    this.#tiles = new TileCodec(model, this.#observed(backend), (work) => this.#coding.while(work))
  }

  readonly encodePayload: PayloadCodec['encodePayload'] = (image, quality, signal) => {
    return this.#turns.run(() => this.#tiles.encode(rgbOf(image), Math.fround(quality), signal))
  }

  /** Always by the network, whatever it makes of the tile. */
  readonly encodeCheckedPayload: PayloadCodec['encodeCheckedPayload'] = async (image, quality, { signal } = {}) => {
    const rgb = rgbOf(image)
    const tile = await this.#turns.run(() => this.#tiles.encodeChecked(rgb, Math.fround(quality), signal))
    return { payload: tile.payload, psnr: psnr(rgb, tile.decoded), codec: 'cleric' }
  }

  readonly decodePayload: PayloadCodec['decodePayload'] = (payload, tile, signal) =>
    this.#turns.run(() => this.#tiles.decode(payload, tile, Math.fround(tile.quality), signal))

  /** Counts from now on. */
  restart(): void {
    this.#started = performance.now()
    this.#network = new BusyClock()
    this.#coding = new BusyClock()
    this.#parts = noParts()
  }

  get observed(): Observed {
    const sum = NETWORK_PARTS.reduce((total, part) => total + this.#parts[part], 0)
    const shares = noParts()
    for (const part of NETWORK_PARTS) shares[part] = this.#parts[part] / sum
    return {
      seconds: (performance.now() - this.#started) / 1000,
      networkSeconds: this.#network.seconds,
      codingSeconds: this.#coding.seconds,
      parts: this.#areTold && sum > 0 ? shares : null,
    }
  }

  close(): void {
    this.#tiles.close()
  }

  #observed(backend: Backend): Backend {
    const { kind, name, tilesInFlight, tilesTogether = 1 } = backend
    return {
      ...{ kind, name, tilesInFlight, tilesTogether },
      batchOf: (graph, parameters) => backend.batchOf?.(graph, parameters) ?? 1,
      get isLost() {
        return backend.isLost
      },
      close: () => backend.close(),
      compile: async (graph, parameters, batch) => {
        const executable = await backend.compile(graph, parameters, batch)
        const timed = async <T>(stage: number, run: () => Promise<T>) => {
          const began = performance.now()
          const outputs = await this.#network.while(run)
          this.#note(graph, executable, stage, (performance.now() - began) / 1000)
          return outputs
        }
        return {
          run: (stage, inputs, signal) => timed(stage, () => executable.run(stage, inputs, signal)),
          runBatch: (stage, inputs, signal) =>
            timed(stage, async () => (await executable.runBatch?.(stage, inputs, signal)) ?? []),
          close: () => executable.close(),
        }
      },
    }
  }

  /** Adds a stage's time to the parts of the network. */
  #note(graph: Graph, executable: Executable, stage: number, seconds: number): void {
    const isEncoder = graph.stages.length === 1
    if (executable instanceof CpuExecutable) {
      let part: NetworkPart = isEncoder ? 'analysis' : 'entropy model'
      for (const { node, seconds: own } of executable.timings(stage)) {
        // A change of layout belongs to what it follows.
        part = (node && partFrom(nodeOutputs(node)[0]?.name)) ?? part
        this.#parts[part] += own
      }
    } else if (isEncoder) this.#areTold = false
    else this.#parts[stage === graph.stages.length - 1 ? 'synthesis' : 'entropy model'] += seconds
  }
}

/** The part that a node begins, by its output's name. */
function partFrom(name: string | undefined): NetworkPart | null {
  if (name === 'h_s.input') return 'entropy model'
  return name === 'y_hat' ? 'synthesis' : null
}

function noParts(): Record<NetworkPart, number> {
  return { analysis: 0, 'entropy model': 0, synthesis: 0 }
}
