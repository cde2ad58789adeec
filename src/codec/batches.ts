/**
 * Tiles of one graph side by side: those that are wanted at the same time share an executable, whose stages run for all
 * of them at once. A GPU is busy with several tiles where one leaves most of it idle, and what it costs to tell it what
 * to do is paid once.
 */
import { throwIfAborted } from '../errors.js'
import type { Backend, Executable, Graph, Parameters, PortData, Tensor } from '../network/graph.js'
import { nextTurn } from '../webgpu/event-loop.js'
import { type ExecutablePool, mayBeMemory } from './executable-pool.js'

type Values = ReadonlyMap<Tensor, PortData>

/** The part of an executable that a tile's work sees. */
export type Runner = Pick<Executable, 'run'>

interface Waiting {
  /** Batches that had been started when it came. */
  readonly since: number
  readonly work: (runner: Runner) => Promise<unknown>
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
}

export class Batches {
  readonly #backend: Backend
  readonly #parameters: Parameters
  readonly #pool: ExecutablePool
  /** Executables that may be at work at a time. */
  readonly #limit: number
  readonly #queues = new Map<Graph, Waiting[]>()
  /** Tiles of a batch of each graph. */
  readonly #sizes = new WeakMap<Graph, number>()
  #running = 0
  #started = 0
  #isScheduled = false

  constructor(backend: Backend, parameters: Parameters, pool: ExecutablePool) {
    this.#backend = backend
    this.#parameters = parameters
    this.#pool = pool
    this.#limit = backend.tilesInFlight
  }

  /**
   * Does a tile's work, on an executable of its own or on one that it shares. The results are the same, and one tile's
   * failure is no other's; but that of the device is that of all.
   *
   * @param work runs the stages of `graph` in order, each at most once
   */
  use<T>(graph: Graph, work: (runner: Runner) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiting = this.#queues.get(graph) ?? []
      waiting.push({ since: this.#started, work, resolve, reject })
      this.#queues.set(graph, waiting)
      this.#schedule()
    })
  }

  #sizeOf(graph: Graph): number {
    const size = this.#sizes.get(graph) ?? this.#backend.batchOf?.(graph, this.#parameters) ?? 1
    this.#sizes.set(graph, size)
    return size
  }

  /** Starts what can be started once all that is wanted in this turn of the event loop has been asked for. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    nextTurn().then(() => {
      this.#isScheduled = false
      this.#start()
    })
  }

  #start(): void {
    for (let due = this.#due(); due; due = this.#due()) {
      const [graph, waiting] = due
      const size = this.#sizeOf(graph)
      // Empty places cost as much as tiles do.
      const batch = 2 * waiting.length > size ? size : 1
      this.#launch(graph, batch, waiting.splice(0, batch))
      // Graphs come and go with the sizes of tiles.
      if (waiting.length === 0) this.#queues.delete(graph)
    }
  }

  /** What is to start now: of several, that whose first tile came first. */
  #due(): [Graph, Waiting[]] | undefined {
    const due = [...this.#queues].filter(([graph, waiting]) => this.#isDue(waiting, this.#sizeOf(graph)))
    const cameAt = ([, [first]]: (typeof due)[number]) => first?.since ?? 0
    return due.sort((a, b) => cameAt(a) - cameAt(b))[0]
  }

  /**
   * A batch that isn't full starts only where nothing else keeps the device busy, as more tiles may wait by the time that
   * something else is done; or where as many others as may run have been started since its first tile came, so that
   * tiles of a rare size get their turn.
   */
  #isDue([first, ...others]: readonly Waiting[], size: number): boolean {
    if (!first || this.#running === this.#limit) return false
    return others.length + 1 >= size || this.#running === 0 || this.#started - first.since >= this.#limit
  }

  async #launch(graph: Graph, batch: number, tiles: readonly Waiting[]): Promise<void> {
    this.#running++
    this.#started++
    try {
      await this.#pool.use(graph, batch, (executable) => serve(executable, tiles))
    } catch (error) {
      // Only getting an executable fails here: no tile has begun.
      if (batch > 1 && mayBeMemory(error)) this.#again(graph, batch >> 1, tiles)
      else for (const { reject } of tiles) reject(error)
    } finally {
      this.#running--
      this.#schedule()
    }
  }

  /** Lets tiles wait anew, for batches that take less memory. */
  #again(graph: Graph, size: number, tiles: readonly Waiting[]): void {
    this.#sizes.set(graph, Math.min(size, this.#sizeOf(graph)))
    this.#queues.set(graph, [...tiles, ...(this.#queues.get(graph) ?? [])])
  }
}

/** Does the tiles' work on one executable; what fails is told to the tile. */
async function serve(executable: Executable, tiles: readonly Waiting[]): Promise<void> {
  const shared = new SharedRuns(executable, tiles.length)
  const one = async ({ work, resolve, reject }: Waiting, place: number) => {
    try {
      resolve((await work(tiles.length === 1 ? executable : shared.runnerOf(place))) as never)
    } catch (error) {
      reject(error)
    } finally {
      shared.leave(place)
    }
  }
  await Promise.all(tiles.map(one))
}

/** A stage's run that a tile waits for. */
interface Pending {
  readonly index: number
  readonly inputs: Values
  readonly resolve: (outputs: Map<Tensor, PortData>) => void
  readonly reject: (error: unknown) => void
}

/** The runs of an executable's stages, each for all tiles that are still there. */
class SharedRuns {
  readonly #executable: Executable
  /** By place: what the tile waits for; null while it does something else; undefined when it has left. */
  readonly #places: (Pending | null | undefined)[]

  constructor(executable: Executable, tiles: number) {
    this.#executable = executable
    this.#places = new Array(tiles).fill(null)
  }

  /** The executable as the tile at a place sees it. */
  runnerOf(place: number): Runner {
    return {
      run: async (index, inputs, signal) => {
        throwIfAborted(signal)
        const outputs = await new Promise<Map<Tensor, PortData>>((resolve, reject) => {
          this.#places[place] = { index, inputs, resolve, reject }
          this.#runIfAllWait()
        })
        throwIfAborted(signal)
        return outputs
      },
    }
  }

  leave(place: number): void {
    this.#places[place] = undefined
    this.#runIfAllWait()
  }

  #runIfAllWait(): void {
    const places = [...this.#places]
    const pending = places.filter((each) => each !== undefined)
    if (pending.length === 0 || !pending.every((each) => each !== null)) return
    this.#places.fill(null)
    for (const [i, each] of places.entries()) if (each === undefined) this.#places[i] = undefined
    this.#run(pending as Pending[], places as (Pending | undefined)[])
  }

  async #run(pending: readonly Pending[], places: readonly (Pending | undefined)[]): Promise<void> {
    try {
      const inputs = places.map((each) => each?.inputs ?? null)
      const outputs = await this.#executable.runBatch?.(pending[0]?.index ?? 0, inputs)
      for (const [i, each] of places.entries()) each?.resolve(outputs?.[i] as Map<Tensor, PortData>)
    } catch (error) {
      for (const { reject } of pending) reject(error)
    }
  }
}
