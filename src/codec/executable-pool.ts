/**
 * The executables of a backend, for graphs of which several may run at once: one executable runs one tile at a time,
 * so a graph that is wanted while its executables are busy is compiled once more. Idle ones are kept for later.
 */
import { ClericError } from '../errors.js'
import type { Backend, Executable, Graph, Parameters } from '../network/graph.js'

interface Entry {
  readonly graph: Graph
  /** Tiles that it takes at once. */
  readonly batch: number
  readonly executable: Executable
}

export class ExecutablePool {
  readonly #backend: Backend
  readonly #parameters: Parameters
  readonly #limit: number
  readonly #busy = new Set<Entry>()
  /** The least recently used first. */
  readonly #idle: Entry[] = []
  /** Called when an executable is given back. */
  #onReturn = () => {}
  /**
   * Searches run one after the other, so that no executable is compiled while one of its graph is about to become free.
   */
  #search: Promise<unknown> = Promise.resolve()
  #closed = false

  /**
   * @param limit most executables to hold, busy ones included: they take memory. Only idle ones can be closed to keep
   * it.
   */
  constructor(backend: Backend, parameters: Parameters, limit: number) {
    this.#backend = backend
    this.#parameters = parameters
    this.#limit = limit
  }

  /**
   * Does `work` with an executable of the graph that nobody else uses meanwhile.
   *
   * @param batch tiles that it is to take at once
   * @throws ERR_CLOSED; what compiling throws, unless it is for want of memory that other executables hold
   */
  async use<T>(graph: Graph, batch: number, work: (executable: Executable) => Promise<T>): Promise<T> {
    const search = this.#search.then(() => this.#find(graph, batch))
    this.#search = search.catch(() => {})
    const entry = await search
    try {
      return await work(entry.executable)
    } finally {
      this.#giveBack(entry)
    }
  }

  /** Frees the executables; runs in progress reject with ERR_CLOSED. */
  close(): void {
    this.#closed = true
    for (const { executable } of this.#busy) executable.close()
    this.#freeIdle(0)
    this.#onReturn()
  }

  async #find(graph: Graph, batch: number): Promise<Entry> {
    for (;;) {
      this.#mustBeOpen()
      const at = this.#idle.findLastIndex((entry) => entry.graph === graph && entry.batch === batch)
      const [held] = at < 0 ? [] : this.#idle.splice(at, 1)
      if (held) {
        this.#busy.add(held)
        return held
      }
      this.#freeIdle(this.#limit - this.#busy.size - 1)
      try {
        return await this.#compile(graph, batch)
      } catch (error) {
        this.#mustBeOpen()
        if (!mayBeMemory(error)) throw error
        // Idle executables are closed first, then this waits for the busy ones: a graph has only failed if it finds no
        // room alone.
        if (this.#idle.length > 0) this.#freeIdle(0)
        else if (this.#busy.size > 0) await this.#returned()
        else throw error
      }
    }
  }

  async #compile(graph: Graph, batch: number): Promise<Entry> {
    const executable = await this.#backend.compile(graph, this.#parameters, batch)
    if (this.#closed) executable.close()
    this.#mustBeOpen()
    const entry = { graph, batch, executable }
    this.#busy.add(entry)
    return entry
  }

  #giveBack(entry: Entry): void {
    this.#busy.delete(entry)
    if (this.#closed) return
    this.#idle.push(entry)
    this.#freeIdle(this.#limit - this.#busy.size)
    this.#onReturn()
  }

  /** Closes the least recently used of the idle until no more than `keep` are left. */
  #freeIdle(keep: number): void {
    const count = Math.max(0, this.#idle.length - Math.max(0, keep))
    for (const { executable } of this.#idle.splice(0, count)) executable.close()
  }

  /** When the next executable is given back, or the pool closed. */
  #returned(): Promise<void> {
    return new Promise((resolve) => {
      this.#onReturn = resolve
    })
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClericError('ERR_CLOSED', 'The codec is closed')
  }
}

/** Whether memory may have been short: drivers don't tell that from other failures. */
export function mayBeMemory(error: unknown): boolean {
  return error instanceof ClericError && (error.code === 'ERR_DEVICE_LIMIT' || error.code === 'ERR_DEVICE_FAILED')
}
