/** The page's side of a worker that decodes: `worker.ts` is the other. */
import { checkOptions, checkSignal, type OptionChecks } from '../arguments.js'
import { AbortedError, ClericError, errorOfCode, throwIfAborted } from '../errors.js'
import type { Region } from '../slide/source.js'
import { checkSource, locate, located, MODEL_CHECK, type ModelChoice } from './locate.js'
import type {
  AdapterFacts,
  Answer,
  Call,
  Calls,
  DecodedTile,
  DecoderFacts,
  Failure,
  Request,
  SlideFacts,
  TileChecks,
} from './worker-protocol.js'

/** The worker's name, by which the module knows that it is to serve a page. */
export const WORKER_NAME = 'cleric-worker'

export interface WorkerSlideOptions extends ModelChoice {
  readonly signal?: AbortSignal | undefined
}

export interface SlideWorkerOptions {
  /**
   * Address of `dist/web/cleric-web.js`, relative to the page: the worker's file. Pages that a bundler has made one file
   * with this module must give it, as their own file would run in the worker. Default: the file that this module came from.
   */
  readonly module?: string | URL | undefined
}

const WORKER_CHECKS: OptionChecks<SlideWorkerOptions> = {
  module: (value, name) => void locate(value as string | URL, name),
}
const OPEN_CHECKS: OptionChecks<WorkerSlideOptions> = { ...MODEL_CHECK, signal: checkSignal }

interface Waiting {
  readonly resolve: (answer: never) => void
  readonly reject: (error: unknown) => void
}

/**
 * A worker in which archives are opened and decoded, so that the page stays smooth. It holds models and the GPU for all
 * slides that are opened in it.
 *
 * @example
 * const worker = new SlideWorker()
 * const slide = await worker.open('slides/a.cleric.tif', { model: 'models/cleric-s.safetensors' })
 * context.drawImage(await slide.region({ x: 0, y: 0, level: 2, width: 512, height: 512 }), 0, 0)
 */
export class SlideWorker implements Disposable {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  /** Why it takes no further calls. */
  #end: ClericError | null = null

  constructor(options: SlideWorkerOptions = {}) {
    const { module } = checkOptions(options, WORKER_CHECKS)
    // A classic script, such as bundlers make, has no address of its own.
    const own = module === undefined ? import.meta.url : undefined
    const file = own === undefined ? locate(module as string | URL, 'module') : new URL(own)
    this.#worker = new Worker(file, { type: 'module', name: WORKER_NAME })
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#settle(data)
    this.#worker.onerror = (event) => {
      event.preventDefault()
      this.#finish(new ClericError('ERR_CLOSED', `The worker that decodes has ended: ${event.message}`))
    }
  }

  /**
   * The adapter that WebGPU has here; nothing is fetched for it.
   *
   * @throws DeviceError ERR_NO_DEVICE
   */
  adapter(signal?: AbortSignal): Promise<AdapterFacts> {
    return this.call('adapter', {}, signal)
  }

  /**
   * Opens an archive, as `openArchive` does. Neither model nor GPU are needed yet.
   *
   * @throws CorruptDataError ERR_ARCHIVE_CORRUPT, UnsupportedError ERR_ARCHIVE_UNSUPPORTED, ClericError ERR_NETWORK
   */
  async open(source: string | URL | Blob, options: WorkerSlideOptions = {}): Promise<WorkerSlide> {
    const { model, signal } = located(checkOptions(options, OPEN_CHECKS))
    const { slide, ...facts } = await this.call('open', { source: checkSource(source, 'source'), model }, signal)
    return new WorkerSlide(this, slide, facts)
  }

  /** Ends the worker; calls that wait reject with ERR_CLOSED. */
  close(): void {
    this.#finish(new ClericError('ERR_CLOSED', 'The worker that decodes was closed'))
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal */
  async call<C extends Call>(call: C, ask: Calls[C]['ask'], signal?: AbortSignal): Promise<Calls[C]['answer']> {
    throwIfAborted(checkSignal(signal))
    if (this.#end) throw this.#end
    const id = ++this.#lastId
    // First, as it throws for what can't be sent. The answer comes later than this function ends.
    this.#post({ id, call, ask } as Request)
    return await new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.delete(id)
        this.#post({ id, call: 'abort' })
        reject(new AbortedError(signal?.reason))
      }
      signal?.addEventListener('abort', abort, { once: true })
      const forget = () => signal?.removeEventListener('abort', abort)
      this.#waiting.set(id, {
        resolve: (answer) => {
          forget()
          resolve(answer)
        },
        reject: (error) => {
          forget()
          reject(error)
        },
      })
    })
  }

  /** @internal */
  closeSlide(slide: number): void {
    if (!this.#end) this.#post({ id: ++this.#lastId, call: 'close', slide })
  }

  #post(request: Request): void {
    this.#worker.postMessage(request)
  }

  #settle(message: Answer): void {
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if ('failure' in message) waiting?.reject(errorOf(message.failure))
    else if (waiting) waiting.resolve(message.answer as never)
    else discard(message.answer)
  }

  #finish(why: ClericError): void {
    this.#end ??= why
    this.#worker.terminate()
    for (const { reject } of this.#waiting.values()) reject(why)
    this.#waiting.clear()
  }
}

/** A slide that is open in a worker. */
export class WorkerSlide implements Disposable {
  readonly facts: SlideFacts
  readonly #worker: SlideWorker
  readonly #slide: number

  /** @internal Use {@link SlideWorker.open}. */
  constructor(worker: SlideWorker, slide: number, facts: SlideFacts) {
    this.#worker = worker
    this.#slide = slide
    this.facts = facts
  }

  /**
   * Fetches the model and tries the GPU, for pages that want to know early whether tiles can be decoded.
   *
   * @throws DeviceError ERR_NO_DEVICE, ERR_DEVICE_INEXACT, ERR_DEVICE_FAILED; ClericError ERR_NETWORK; UnsupportedError
   * ERR_MODEL_MISMATCH
   */
  decoder(signal?: AbortSignal): Promise<DecoderFacts> {
    return this.#worker.call('decoder', { slide: this.#slide }, signal)
  }

  /**
   * A tile of the DeepZoom pyramid of 512 x 512 pixels that `cleric serve` has, too; null if there is none in that place. From
   * a downsample of 16 on it is made from the overview that archives store, without the network.
   *
   * @throws DeviceError; CorruptDataError ERR_ARCHIVE_CORRUPT where the overview is damaged, and no level can stand in
   */
  tile(level: number, column: number, row: number, signal?: AbortSignal): Promise<DecodedTile | null> {
    return this.#worker.call('tile', { slide: this.#slide, level, column, row }, signal)
  }

  /** As `readRegion` of an archive, in sRGB, ready to be drawn. */
  region(region: Region, signal?: AbortSignal): Promise<ImageBitmap> {
    return this.#worker.call('region', { slide: this.#slide, region }, signal)
  }

  /** The whole slide in at most 512 x 512 pixels, as PNG; null where much would have to be decoded for it. */
  overview(signal?: AbortSignal): Promise<Blob | null> {
    return this.#worker.call('overview', { slide: this.#slide }, signal)
  }

  /** Label, macro image and the like, as PNG. */
  associatedImage(name: string, signal?: AbortSignal): Promise<Blob> {
    return this.#worker.call('associated', { slide: this.#slide, name }, signal)
  }

  /**
   * How near tiles came to the slide, and by which codec: of the whole archive, or of a window of tiles of a level, such as
   * `{ level: '0', column: '0', row: '0', columns: '64', rows: '64' }`. It is what `cleric serve` answers under `/checks/`.
   */
  tileChecks(query: Readonly<Record<string, string>> = {}, signal?: AbortSignal): Promise<TileChecks> {
    return this.#worker.call('checks', { slide: this.#slide, query }, signal)
  }

  close(): void {
    this.#worker.closeSlide(this.#slide)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function errorOf({ name, message, code }: Failure): Error {
  if (code !== null) return errorOfCode(code, message)
  const Class = { TypeError, RangeError }[name] ?? Error
  return new Class(message)
}

/** Frees the picture of an answer that nobody waits for any more. */
function discard(answer: Calls[Call]['answer']): void {
  if (answer instanceof ImageBitmap) answer.close()
  else if (answer !== null && 'bitmap' in answer) answer.bitmap.close()
}
