/**
 * The same layers with the same weights on other runtimes, by turns in one run: onnxruntime's CPU and WebGPU providers,
 * PyTorch. The network alone, without the entropy coder. What is missing is named, with what would change that.
 */
import { availableParallelism } from 'node:os'
import {
  type Backend,
  decoderGraph,
  type Executable,
  encoderGraph,
  type Graph,
  gainsAt,
  type Model,
  type PortData,
  type Tensor,
} from 'cleric/internal'
import { nameOf } from '../onnx/builder.js'
import { asFloats, OnnxRuntime, type OnnxSession } from '../onnx/runtime.js'
import { measureByTurns, type Timing } from './clock.js'
import { attempt, megapixels, type SpeedContext, tissue } from './context.js'
import type { SpeedDevice } from './devices.js'
import type { Direction } from './tiles.js'
import { Torch } from './torch.js'

export const PEER_IDS = ['onnxruntime-cpu', 'onnxruntime-webgpu', 'pytorch'] as const
export type PeerId = (typeof PEER_IDS)[number]

export const PEER_LABELS: Readonly<Record<PeerId, string>> = {
  'onnxruntime-cpu': 'onnxruntime, CPU provider',
  'onnxruntime-webgpu': 'onnxruntime, WebGPU provider',
  pytorch: 'PyTorch',
}

export interface PeerSpeed {
  /** Where CLERIC ran; a peer that finds its own adapter may have found another. */
  readonly device: string
  readonly peer: 'cleric' | PeerId
  /** With its version. */
  readonly name: string
  readonly direction: Direction
  readonly tile: number
  readonly seconds: Timing
  readonly megapixelsPerSecond: number
  /** Its median over CLERIC's: how many times as fast CLERIC is. */
  readonly clericIsFasterBy: number
  /** From CLERIC's result: of the latent's values, or of a pixel's in 0 to 1; null where it isn't compared. */
  readonly largestDifference: number | null
}

export interface MissingPeer {
  readonly peer: PeerId
  /** Beside which device; null: beside any. */
  readonly device: string | null
  readonly reason: string
}

export interface Peers {
  readonly results: readonly PeerSpeed[]
  readonly missing: readonly MissingPeer[]
}

/** One direction as a graph with inputs for all of its stages; `compared` is its result. */
interface Work {
  readonly direction: Direction
  readonly graph: Graph
  readonly inputs: ReadonlyMap<Tensor, PortData>
  readonly compared: Tensor
}

interface Runner {
  readonly peer: PeerSpeed['peer']
  readonly name: string
  /** Gives seconds where it counts them itself. */
  run(): Promise<unknown>
  /** What is compared, as floats. */
  readonly result: (() => Float32Array) | null
  close(): void | Promise<void>
}

const INSTALL = 'run `npm install onnxruntime-node` in a folder and name it with --runtime DIR'

/** @param runtime folder of onnxruntime-node; null: none was named */
export async function benchPeers(context: SpeedContext, runtime: string | null): Promise<Peers> {
  const missing: MissingPeer[] = []
  const ort = openRuntime(runtime, missing)
  const note = (peer: PeerId, reason: string) => {
    if (!isMissing(missing, peer)) missing.push({ peer, device: null, reason })
  }
  if (!context.devices.some(({ kind }) => kind === 'webgpu')) {
    note('onnxruntime-webgpu', 'no WebGPU adapter is among the devices of this run; name one with --device')
  }
  if (!context.devices.some(({ kind }) => kind === 'cpu')) {
    for (const peer of ['onnxruntime-cpu', 'pytorch'] as const) {
      note(peer, 'cpu is not among the devices of this run')
    }
  }
  const results: PeerSpeed[] = []
  for (const device of context.devices) {
    const run = () => onDevice(context, device, ort, missing)
    results.push(...((await attempt(context, device.id, 'peers', run)) ?? []))
  }
  return { results, missing }
}

function openRuntime(folder: string | null, missing: MissingPeer[]): OnnxRuntime | null {
  let reason = INSTALL
  try {
    if (folder !== null) return OnnxRuntime.open(folder)
  } catch (error) {
    reason = `${firstLine(error)}; ${INSTALL}`
  }
  for (const peer of ['onnxruntime-cpu', 'onnxruntime-webgpu'] as const) missing.push({ peer, device: null, reason })
  return null
}

function isMissing(missing: readonly MissingPeer[], peer: PeerId, device: string | null = null): boolean {
  return missing.some((entry) => entry.peer === peer && (entry.device === null || entry.device === device))
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] as string
}

async function onDevice(
  context: SpeedContext,
  device: SpeedDevice,
  ort: OnnxRuntime | null,
  missing: MissingPeer[],
): Promise<PeerSpeed[]> {
  const { model, modelFile, seconds, signal, note } = context
  // A software adapter takes minutes for large ones.
  const tile = device.software ? Math.min(...context.tiles) : peerTile(context.tiles)
  const backend = await device.open()
  const threads = availableParallelism()
  let torch: Torch | null = null
  if (device.id.endsWith('(opengles)')) {
    const reason = 'it has no OpenGL ES, and another adapter would be no comparison'
    missing.push({ peer: 'onnxruntime-webgpu', device: device.id, reason })
  }
  try {
    if (device.kind === 'cpu') {
      torch = await Torch.open({ model: modelFile, tile, threads, signal }).catch((error: unknown) => {
        missing.push({ peer: 'pytorch', device: device.id, reason: firstLine(error) })
        return null
      })
    }
    const results: PeerSpeed[] = []
    for (const work of await bothDirections(model, tile)) {
      note(`${work.direction} ${tile} x ${tile} beside others on ${device.id}`)
      const runners = [await ours(backend, model, work)]
      try {
        const peer = device.kind === 'cpu' ? 'onnxruntime-cpu' : 'onnxruntime-webgpu'
        if (ort && !isMissing(missing, peer, device.id)) {
          const other = await onnx(ort, peer, model, work, threads).catch((error: unknown) => {
            missing.push({ peer, device: device.id, reason: firstLine(error) })
            return null
          })
          if (other) runners.push(other)
        }
        if (torch) runners.push(pytorch(torch, work.direction))
        results.push(
          ...(await compare({ device: device.id, direction: work.direction, tile }, runners, seconds, signal)),
        )
      } finally {
        for (const runner of runners) await runner.close()
      }
    }
    return results
  } finally {
    torch?.close()
    backend.close()
  }
}

/** What a slide is made of if it is measured, else the largest. */
export function peerTile(tiles: readonly number[]): number {
  return tiles.includes(512) ? 512 : Math.max(...tiles)
}

async function compare(
  facts: Pick<PeerSpeed, 'device' | 'direction' | 'tile'>,
  runners: readonly Runner[],
  seconds: number,
  signal: AbortSignal | undefined,
): Promise<PeerSpeed[]> {
  for (const runner of runners) await runner.run()
  const results = runners.map(({ result }) => result?.() ?? null)
  const times = await measureByTurns(
    runners.map((runner) => () => runner.run()),
    seconds,
    signal,
  )
  const cleric = times[0] as Timing
  return runners.map(({ peer, name }, i) => {
    const time = times[i] as Timing
    const [expected, actual] = [results[0], results[i]]
    return {
      ...facts,
      ...{ peer, name, seconds: time },
      megapixelsPerSecond: megapixels(facts.tile) / time.median,
      clericIsFasterBy: time.median / cleric.median,
      largestDifference: i > 0 && expected && actual ? largestDifference(expected, actual) : null,
    }
  })
}

function largestDifference(expected: Float32Array, actual: Float32Array): number {
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (actual[i] as number))), 0)
}

async function ours(backend: Backend, { parameters }: Model, { graph, inputs, compared }: Work): Promise<Runner> {
  const executable: Executable = await backend.compile(graph, parameters)
  let outputs: ReadonlyMap<Tensor, PortData> = new Map()
  return {
    peer: 'cleric',
    name: `CLERIC, ${backend.name}`,
    async run() {
      for (const [n, stage] of graph.stages.entries()) {
        const given = new Map(stage.inputs.map(({ tensor }) => [tensor, inputs.get(tensor) as PortData]))
        outputs = await executable.run(n, given)
      }
    },
    result: () => asFloats(compared, outputs.get(compared) as PortData),
    close: () => executable.close(),
  }
}

async function onnx(
  ort: OnnxRuntime,
  peer: 'onnxruntime-cpu' | 'onnxruntime-webgpu',
  { parameters }: Model,
  { graph, inputs, compared }: Work,
  threads: number,
): Promise<Runner> {
  const provider = peer === 'onnxruntime-cpu' ? ({ name: 'cpu', threads } as const) : ({ name: 'webgpu' } as const)
  const session: OnnxSession = await ort.session(graph, parameters, inputs, provider)
  let outputs: ReadonlyMap<string, Float32Array> = new Map()
  return {
    peer,
    name: `onnxruntime-node ${ort.version}, ${provider.name} provider`,
    async run() {
      outputs = await session.run()
    },
    result() {
      const values = outputs.get(nameOf(compared)) as Float32Array
      // An image leaves ours as bytes.
      return compared.shape.channels === 3 ? values.map((v) => Math.max(0, Math.min(1, v))) : values
    },
    close: () => session.close(),
  }
}

function pytorch(torch: Torch, direction: Direction): Runner {
  return { peer: 'pytorch', name: torch.name, run: () => torch.run(direction), result: null, close() {} }
}

/** Other runtimes know nothing of the coder's order. */
function inTensorOrder(graph: Graph): Graph {
  const plain = (ports: Graph['stages'][number]['inputs']) =>
    ports.map((port) =>
      port.format === 'float' || port.format === 'rgb8' ? port : { ...port, format: 'int16' as const },
    )
  const stages = graph.stages.map((stage) => ({ ...stage, inputs: plain(stage.inputs), outputs: plain(stage.outputs) }))
  return { ...graph, stages }
}

/** Encoding, with the latent among its outputs, and decoding from symbols of the usual size. */
async function bothDirections(model: Model, tile: number): Promise<Work[]> {
  const gains = gainsAt(model, 60)
  const encoder = encoderGraph(model.config, model.parameters, tile, tile)
  const latent = encoder.graph.tensors.find(({ name }) => name === 'y') as Tensor
  const stages = encoder.graph.stages.map((stage) => ({
    ...stage,
    outputs: [...stage.outputs, { tensor: latent, format: 'float' as const }],
  }))
  const pixels = new Map<Tensor, PortData>([[encoder.image, (await tissue(tile)).data]])
  if (encoder.gain && gains) pixels.set(encoder.gain, gains.forward)

  const decoder = decoderGraph(model.config, model.parameters, tile, tile)
  const symbols = new Map<Tensor, PortData>()
  for (const { tensor } of decoder.graph.stages.flatMap(({ inputs }) => inputs)) {
    const { channels, height, width } = tensor.shape
    const values = Int16Array.from({ length: channels * height * width }, (_, i) => ((i * 7919) % 5) - 2)
    symbols.set(tensor, tensor === decoder.gain && gains ? gains.inverse : values)
  }
  return [
    { direction: 'encode', graph: { ...encoder.graph, stages }, inputs: pixels, compared: latent },
    { direction: 'decode', graph: inTensorOrder(decoder.graph), inputs: symbols, compared: decoder.image },
  ]
}
