/** The other end of the pipe, for tests. */
import { PassThrough } from 'node:stream'
import type { PayloadCodec } from '../../src/codec/codec.js'
import { encodeFrame } from '../../src/pipe/frames.js'
import type { PixelMemory } from '../../src/pipe/pixel-memory.js'
import { servePipe } from '../../src/pipe/serve.js'
import { losslessCodec } from '../payload-codec.js'

export interface Answer {
  readonly id: number | null
  readonly result?: Record<string, unknown>
  readonly error?: { readonly class: string; readonly code: string; readonly message: string }
  readonly body: Buffer
}

export class PipeClient {
  readonly input = new PassThrough()
  readonly #output = new PassThrough()
  readonly #stop = new AbortController()
  readonly #answers: Answer[] = []
  readonly #heard: (() => void)[] = []
  /** How it ended. */
  readonly ended: Promise<unknown>
  #held: Buffer = Buffer.alloc(0)
  #last = 0

  constructor({ codec = losslessCodec(), memory }: { codec?: PayloadCodec; memory?: PixelMemory } = {}) {
    this.#output.on('data', (chunk: Buffer) => this.#take(chunk))
    const { input } = this
    this.ended = servePipe({
      input,
      output: this.#output,
      version: '1.2.3',
      memory,
      codec,
      signal: this.#stop.signal,
    }).then(
      () => null,
      (error: unknown) => error,
    )
  }

  /** Sends a request; returns its number. */
  send(header: object): number {
    this.#last++
    for (const part of encodeFrame({ id: this.#last, ...header })) this.input.write(part)
    return this.#last
  }

  /** The answer to a request, by its number; null: what is said without having been asked. */
  async answer(id: number | null): Promise<Answer> {
    for (;;) {
      const at = this.#answers.findIndex((answer) => (answer.id ?? null) === id)
      if (at >= 0) return this.#answers.splice(at, 1)[0] as Answer
      await new Promise<void>((heard) => this.#heard.push(heard))
    }
  }

  ask(header: object): Promise<Answer> {
    return this.answer(this.send(header))
  }

  /** Opens a slide; returns its number. */
  async open(path: string): Promise<number> {
    const { result, error } = await this.ask({ op: 'open', path })
    if (!result) throw new Error(error?.message)
    return result.slide as number
  }

  /** Ends the input; resolves to the error that it ended with, or null. */
  end(): Promise<unknown> {
    this.input.end()
    return this.ended
  }

  stop(): Promise<unknown> {
    this.#stop.abort()
    return this.ended
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk])
    while (this.#held.length >= 8) {
      const start = 8 + this.#held.readUInt32LE(0)
      const end = start + this.#held.readUInt32LE(4)
      if (this.#held.length < end) break
      const header = JSON.parse(this.#held.toString('utf8', 8, start))
      this.#answers.push({ ...header, body: this.#held.subarray(start, end) })
      this.#held = this.#held.subarray(end)
    }
    for (const heard of this.#heard.splice(0)) heard()
  }
}
