/** The worker's side of {@link SlideWorker}: opens archives, decodes tiles, and sends pictures. */
import { type Archive, openArchive } from '../archive/archive.js'
import type { ArchiveLevel } from '../archive/archive-level.js'
import { checksOf, checksWindow } from '../archive/checks-window.js'
import { levelSize, maxLevel, Pyramid, tileOrHatch } from '../archive/pyramid.js'
import { type Loan, lend } from '../codec/default-codec.js'
import { modelMismatch } from '../codec/model-mismatch.js'
import { ClericError, UnsupportedError } from '../errors.js'
import type { Image } from '../image/image.js'
import { TileCache } from '../image/tile-cache.js'
import type { IccMode } from '../slide/colour.js'
import type { ToSrgb } from '../slide/icc-profile.js'
import { pickAdapter } from './adapters.js'
import { toBitmap, toPng } from './pixels.js'
import { openToSrgb } from './to-srgb.js'
import type { Answer, Call, Calls, Failure, Request, SlideFacts, TileChecks } from './worker-protocol.js'

/** Room for the tiles of all slides, decoded and made of decoded ones. */
const CACHE_BYTES = 2 ** 28
/** Up to this downsample of the whole slide's picture an archive without overview is decoded for it. */
const MOST_DECODED = 4

interface OpenSlide {
  readonly archive: Archive
  readonly pyramid: Pyramid
  readonly toSrgb: ToSrgb | null
  readonly model: string | undefined
  /** Keeps model and GPU while the slide is open. */
  loan: Promise<Loan> | null
}

/** The part of a DedicatedWorkerGlobalScope that is needed. */
export interface WorkerScope {
  readonly name: string
  postMessage(message: Answer, transfer: Transferable[]): void
  addEventListener(type: 'message', take: (event: MessageEvent<Request>) => void): void
}

/** Takes calls from the page until the worker ends. */
export function serveInWorker(scope: WorkerScope): void {
  const server = new WorkerServer((answer, transfer) => scope.postMessage(answer, transfer))
  scope.addEventListener('message', ({ data }) => server.take(data))
}

class WorkerServer {
  readonly #send: (answer: Answer, transfer: Transferable[]) => void
  readonly #cache = new TileCache(CACHE_BYTES)
  readonly #slides = new Map<number, OpenSlide>()
  readonly #running = new Map<number, AbortController>()

  constructor(send: (answer: Answer, transfer: Transferable[]) => void) {
    this.#send = send
  }

  take(request: Request): void {
    if (request.call === 'abort') this.#running.get(request.id)?.abort()
    else if (request.call === 'close') this.#close(request.slide)
    else void this.#run(request)
  }

  async #run(request: Exclude<Request, { call: 'abort' | 'close' }>): Promise<void> {
    const { id } = request
    const stop = new AbortController()
    this.#running.set(id, stop)
    try {
      const answer = await this.#answer(request, stop.signal)
      this.#send({ id, answer }, transferable(answer))
    } catch (error) {
      this.#send({ id, failure: failureOf(error) }, [])
    } finally {
      this.#running.delete(id)
    }
  }

  async #answer(
    request: Exclude<Request, { call: 'abort' | 'close' }>,
    signal: AbortSignal,
  ): Promise<Calls[Call]['answer']> {
    if (request.call === 'adapter') {
      const { name, software } = (await pickAdapter()).description
      return { name, software }
    }
    if (request.call === 'open') {
      const { source, model } = request.ask
      return this.#open(request.id, source, model, signal)
    }
    const slide = this.#slides.get(request.ask.slide)
    if (!slide) throw new ClericError('ERR_CLOSED', 'The slide is closed')
    const { archive } = slide
    switch (request.call) {
      case 'decoder': {
        const { codec, tilesInFlight } = await this.#loan(slide)
        if (codec.model.hash !== archive.model.hash) throw modelMismatch(archive.path, archive.model, codec.model)
        return { device: codec.device.name, tilesInFlight }
      }
      case 'tile': {
        const { level, column, row } = request.ask
        const tile = await tileOrHatch(slide.pyramid, level, column, row, signal)
        return tile && { bitmap: await toBitmap(await shown(slide, tile.image)), holes: tile.holes }
      }
      case 'region':
        return toBitmap(await shown(slide, await archive.readRegion(request.ask.region, signal)))
      case 'overview':
        return this.#overview(slide, signal)
      case 'associated':
        // In colours of their own, which no profile tells.
        return toPng(await archive.readAssociatedImage(request.ask.name, signal))
      case 'checks':
        return tileChecks(archive, request.ask.query)
    }
  }

  async #open(id: number, source: string | Blob, model: string | undefined, signal: AbortSignal) {
    // Tiles are kept in the slide's own colours, and converted when they are sent.
    const archive = await openArchive(source, { model, signal, cache: this.#cache })
    const profile = archive.iccProfile()
    const { toSrgb, icc } = await coloursOf(profile, archive.path)
    const pyramid = new Pyramid(archive, this.#cache)
    this.#slides.set(id, { archive, pyramid, toSrgb, model, loan: null })
    return { slide: id, ...factsOf(archive, icc), overviewLevel: pyramid.overviewLevel }
  }

  #loan(slide: OpenSlide): Promise<Loan> {
    const { model } = slide
    if (!slide.loan) {
      const loan = lend({ model })
      slide.loan = loan
      // What failed is tried again when it is asked for again.
      loan.catch(() => {
        if (slide.loan === loan) slide.loan = null
      })
    }
    return slide.loan
  }

  async #overview(slide: OpenSlide, signal: AbortSignal): Promise<Blob | null> {
    const { archive, pyramid } = slide
    const full = archive.levels[0] as ArchiveLevel
    const { downsample } = archive.levels.at(-1) as ArchiveLevel
    // The finest that fits into a tile, of those for which nothing is decoded, or at least not much.
    const level = Math.min(9, pyramid.overviewLevel ?? maxLevel(full))
    const isCheap = full.width / levelSize(full, level).width <= downsample * MOST_DECODED
    const tile = pyramid.overviewLevel !== null || isCheap ? await pyramid.tile(level, 0, 0, signal) : null
    return tile && toPng(await shown(slide, tile.image))
  }

  #close(id: number): void {
    const slide = this.#slides.get(id)
    this.#slides.delete(id)
    slide?.pyramid.close()
    slide?.archive.close()
    slide?.loan?.then((loan) => loan[Symbol.dispose]()).catch(() => {})
  }
}

/** How pixels come to be sRGB; as they are where the profile is of no use. */
async function coloursOf(
  profile: Uint8Array | null,
  name: string,
): Promise<{ readonly toSrgb: ToSrgb | null; readonly icc: IccMode }> {
  if (!profile) return { toSrgb: null, icc: 'srgb' }
  try {
    return { toSrgb: await openToSrgb(profile, name), icc: 'srgb' }
  } catch (error) {
    if (error instanceof UnsupportedError) return { toSrgb: null, icc: 'none' }
    throw error
  }
}

async function shown({ toSrgb }: OpenSlide, image: Image): Promise<Image> {
  return toSrgb ? toSrgb(image) : image
}

function factsOf(archive: Archive, icc: IccMode): Omit<SlideFacts, 'overviewLevel'> {
  const { path, bytes, bpp, quality, model, mpp, objectivePower, background, properties, associatedImages } = archive
  const { levels, checks, version } = archive
  const { name, hash } = model
  return {
    ...{ path, version, bytes, bpp, quality, model: { name, hash }, mpp, objectivePower, background, properties },
    ...{ associatedImages, levels, checks, icc },
  }
}

function tileChecks(archive: Archive, query: Readonly<Record<string, string>>): TileChecks {
  const asked = new Map(Object.entries(query))
  const answer = asked.size === 0 ? checksOf(archive) : checksWindow(archive, asked)
  if (typeof answer === 'string') throw new RangeError(answer)
  return answer
}

function transferable(answer: Calls[Call]['answer']): Transferable[] {
  if (answer instanceof ImageBitmap) return [answer]
  return answer !== null && 'bitmap' in answer ? [answer.bitmap] : []
}

function failureOf(error: unknown): Failure {
  const { name = 'Error', message = String(error) } = error as Partial<Error>
  return { name, message, code: error instanceof ClericError ? error.code : null }
}
