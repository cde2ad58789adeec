/**
 * The CPU backend: the graph on the addon's kernels (`native/cpu/`), on threads of its own.
 */
import { availableParallelism, cpus } from 'node:os'
import { checkInteger, checkOneOf, sentence, wrongType } from '../arguments.js'
import { AbortedError, ClericError, DeviceError, throwIfAborted } from '../errors.js'
import {
  type Addon,
  addon,
  asClericError,
  type CpuNumbering,
  type NativeCpuBackend,
  type NativeCpuExecutable,
  translated,
} from '../native/addon.js'
import type { Backend, Executable, Graph, Node, Parameters, Port, PortData, Tensor } from '../network/graph.js'
import { ARRAY_OF, gather, portElements, portPositions, scatter } from '../network/ports.js'
import { flatten, NUMBERING } from './flatten.js'

export interface CpuOptions {
  /** 1 to 256; default: as many as the processor runs at once. */
  readonly threads?: number
  /**
   * Instruction set of the kernels, one of {@link instructionSets}; default: the environment variable
   * CLERIC_CPU_ISA, else the best.
   */
  readonly isa?: string
}

/** Sane up to the largest servers. */
const MAX_THREADS = 256

/**
 * Opens the processor as a device. Results do not depend on the number of threads.
 *
 * @throws ClericError ERR_ADDON_MISSING; ERR_ADDON_MISMATCH for an addon of another version
 * @throws DeviceError ERR_NO_DEVICE for an instruction set that this processor or build lacks; ERR_DEVICE_LIMIT if the
 *   system gives no thread
 * @example
 * const backend = await openCpu({ threads: 4 })
 */
export async function openCpu(options: CpuOptions = {}): Promise<CpuBackend> {
  if (typeof options !== 'object' || options === null) throw wrongType('an object', 'options', options)
  const threads = checkInteger(
    options.threads ?? Math.min(availableParallelism(), MAX_THREADS),
    'threads',
    1,
    MAX_THREADS,
  )
  const known = instructionSets()
  if (options.isa !== undefined) checkOneOf(options.isa, 'isa', known)
  const isa = options.isa ?? process.env.CLERIC_CPU_ISA ?? ''
  if (isa !== '' && !known.includes(isa)) {
    throw new DeviceError('ERR_NO_DEVICE', `CLERIC_CPU_ISA names ${isa}; this processor has ${known.join(', ')}`)
  }
  const { CpuBackend: Native } = checkedAddon()
  return new CpuBackend(translated(() => new Native(threads, isa)))
}

/** The addon, if it numbers what stands in plans as this side does: other numbers would be another network. */
function checkedAddon(): Addon {
  const native = addon()
  if (!numbersAgree) {
    const theirs = native.cpuNumbering?.()
    for (const [kind, names] of Object.entries(NUMBERING) as [keyof CpuNumbering, readonly string[]][]) {
      if (names.join() === theirs?.[kind]?.join()) continue
      throw new ClericError(
        'ERR_ADDON_MISMATCH',
        `The native addon is of another version: its ${kind} differ. Build it anew with \`npm run build:addon\``,
      )
    }
    numbersAgree = true
  }
  return native
}

let numbersAgree = false

/** The instruction sets that the addon's kernels can use on this machine, best first. */
export function instructionSets(): string[] {
  return addon().cpuInstructionSets()
}

export class CpuBackend implements Backend, Disposable {
  readonly kind = 'cpu'
  readonly tilesInFlight = 2
  readonly name: string
  readonly threads: number
  readonly isa: string
  readonly #native: NativeCpuBackend
  readonly #executables = new Set<CpuExecutable>()
  /** Numbers the sets of parameters, whose names alone say nothing of their values. */
  readonly #sets = new WeakMap<Parameters, number>()
  #setCount = 0
  #closed = false

  constructor(native: NativeCpuBackend) {
    this.#native = native
    this.threads = native.threads
    this.isa = native.isa
    this.name = `${cpus()[0]?.model.trim() || process.arch} (${this.isa}, ${this.threads} threads)`
  }

  /**
   * Packs the parameters that are new and plans the graph's memory, in some milliseconds of the calling thread.
   *
   * @throws ClericError ERR_CLOSED; ERR_DEVICE_LIMIT if there is no memory for it
   */
  async compile(graph: Graph, parameters: Parameters): Promise<CpuExecutable> {
    if (this.#closed) throw closed('backend')
    const plan = flatten(graph, parameters)
    let set = this.#sets.get(parameters)
    if (set === undefined) {
      set = this.#setCount++
      this.#sets.set(parameters, set)
    }
    const keys = plan.names.map((name) => `${set}:${name}`)
    try {
      const native = this.#native.compile(plan.tensors, plan.program, plan.reals, keys, plan.values)
      const executable = new CpuExecutable(native, graph, plan.nodes, () => this.#executables.delete(executable))
      this.#executables.add(executable)
      return executable
    } catch (error) {
      throw asClericError(error)
    }
  }

  /**
   * Operations a second, in float32, that all threads together can do at most: multiply-adds in registers, two
   * operations each, measured over some 20 milliseconds.
   *
   * @throws ClericError ERR_CLOSED
   */
  async peak(): Promise<number> {
    if (this.#closed) throw closed('backend')
    return this.#native.peak()
  }

  get isLost(): boolean {
    return this.#closed
  }

  /** Frees threads, weights and every executable; runs in progress reject with ERR_CLOSED. */
  close(): void {
    this.#closed = true
    for (const executable of this.#executables) executable.close()
    this.#native.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** How long a node took. */
export interface NodeTiming {
  /** null: a change of layout that the backend put in. */
  readonly node: Node | null
  readonly seconds: number
}

export class CpuExecutable implements Executable {
  readonly #native: NativeCpuExecutable
  readonly #graph: Graph
  readonly #nodes: readonly (readonly (Node | null)[])[]
  readonly #onClose: () => void
  /** The positions of ports in the coder's order. */
  readonly #order = new Map<Port, Int32Array | null>()
  #closed = false
  #running = false

  constructor(
    native: NativeCpuExecutable,
    graph: Graph,
    nodes: readonly (readonly (Node | null)[])[],
    onClose: () => void,
  ) {
    this.#native = native
    this.#graph = graph
    this.#nodes = nodes
    this.#onClose = onClose
  }

  /** Bytes of activations that this executable holds. */
  get bytes(): number {
    return this.#native.bytes
  }

  /** See {@link Executable.run}. The signal is looked at between nodes. */
  async run(
    index: number,
    inputs: ReadonlyMap<Tensor, PortData>,
    signal?: AbortSignal,
  ): Promise<Map<Tensor, PortData>> {
    if (this.#closed) throw closed('executable')
    throwIfAborted(signal)
    const stage = this.#graph.stages[index]
    if (!stage) throw new RangeError(`Expected a stage below ${this.#graph.stages.length} but received ${index}`)
    if (this.#running) throw new DeviceError('ERR_DEVICE_FAILED', 'Calls on one executable must not overlap')
    const data = stage.inputs.map((port) => this.#fromHost(port, inputs.get(port.tensor)))
    const abort = () => this.#native.cancel()
    this.#running = true
    try {
      const pending = this.#native.run(index, data)
      signal?.addEventListener('abort', abort, { once: true })
      const outputs = await pending
      return new Map(stage.outputs.map((port, i) => [port.tensor, this.#toHost(port, outputs[i] as PortData)]))
    } catch (error) {
      if (!this.#closed && signal?.aborted) throw new AbortedError(signal.reason)
      throw asClericError(error)
    } finally {
      this.#running = false
      signal?.removeEventListener('abort', abort)
    }
  }

  /** What each node of a stage took when it last ran. */
  timings(index: number): NodeTiming[] {
    const seconds = this.#native.seconds(index)
    return (this.#nodes[index] ?? []).map((node, i) => ({ node, seconds: seconds[i] ?? 0 }))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#native.close()
    this.#onClose()
  }

  /** An input as the addon takes it. */
  #fromHost(port: Port, data: PortData | undefined): PortData {
    const { tensor, format } = port
    const type = ARRAY_OF[format]
    if (!(data instanceof type)) throw new TypeError(sentence(`a ${type.name}`, tensor.name, data))
    const elements = portElements(port)
    if (data.length !== elements) {
      throw new RangeError(`Expected ${elements} values for ${tensor.name}, not ${data.length}`)
    }
    const positions = this.#positions(port)
    const { channels, height, width } = tensor.shape
    return positions ? scatter(data as Int16Array, positions, channels * height * width) : data
  }

  #toHost(port: Port, data: PortData): PortData {
    const positions = this.#positions(port)
    return positions ? gather(data as Int16Array, positions) : data
  }

  #positions(port: Port): Int32Array | null {
    let positions = this.#order.get(port)
    if (positions === undefined) {
      positions = portPositions(port)
      this.#order.set(port, positions)
    }
    return positions
  }
}

function closed(what: string): ClericError {
  return new ClericError('ERR_CLOSED', `The ${what} is closed`)
}
