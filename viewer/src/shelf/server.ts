/** The slides of `cleric serve`, decoded by the browser where it can, else by the server. */
import type { SlideWorker } from '../../../src/web/index.js'
import type { BadTile, OpenSlide, Shelf, SlideChecks, SlideEntry, SlideFacts } from '../slide.js'
import { capableWorker, wantedDecoder } from '../tiles/page-worker.js'
import { ServerTiles } from '../tiles/server-tiles.js'
import { SlideTiles } from '../tiles/slide-tiles.js'
import { fetchJson, pathOf } from './answers.js'
import { BrowserSlide } from './browser.js'
import { serverChecks } from './server-checks.js'

export interface ServerFacts extends SlideFacts {
  /** How its tiles should be asked for. */
  readonly icc: string
  /** Where the model is that decodes it; null if the server has it only for itself, or the slide is no archive. */
  readonly modelFile?: string | null
}

export class ServerShelf implements Shelf {
  async list(): Promise<SlideEntry[]> {
    const names = (await fetchJson('slides')) as string[]
    return names.map((name) => ({ name, thumbnail: `thumbnail/${pathOf(name)}?size=128` }))
  }

  async open(name: string, signal: AbortSignal): Promise<OpenSlide> {
    const facts = (await fetchJson(`slide?name=${encodeURIComponent(name)}`, signal)) as ServerFacts
    const why = await this.#whyServer(facts)
    if (typeof why === 'string') return new ServerSlide(facts, why)
    try {
      return await openInWorker(facts, why, signal)
    } catch (error) {
      if (signal.aborted) throw error
      return new ServerSlide(facts, `This browser can't read the archive: ${(error as Error).message}`)
    }
  }

  /** Why the server must decode; the worker that can, if it needn't. */
  async #whyServer({ modelFile }: ServerFacts) {
    if (wantedDecoder() === 'server') return 'The address of this page asks for it (?decode=server)'
    if (!modelFile) return 'The server has no model file to give'
    return capableWorker()
  }
}

/** The archive, read by ranges; the server gives its tiles if the browser turns out not to be able to. */
async function openInWorker(facts: ServerFacts, worker: SlideWorker, signal: AbortSignal): Promise<OpenSlide> {
  const { name, version, modelFile, icc } = facts
  const address = `files/${pathOf(name)}?v=${encodeURIComponent(version)}`
  const model = new URL(modelFile as string, document.baseURI)
  const slide = await worker.open(new URL(address, document.baseURI), { model, signal })
  return BrowserSlide.of(facts, slide, (onHoles) => new ServerTiles(facts, { icc, onHoles }), signal)
}

class ServerSlide implements OpenSlide {
  readonly decodedBy = 'server'
  readonly why: string
  readonly facts: ServerFacts
  readonly overview: string
  onHoles: (() => void) | null = null
  onDecodedBy: (() => void) | null = null
  readonly #open = new Set<SlideTiles>()
  readonly #path: string
  readonly #version: string

  constructor(facts: ServerFacts, why: string) {
    this.facts = facts
    this.why = why
    this.#path = pathOf(facts.name)
    this.#version = encodeURIComponent(facts.version)
    this.overview = `thumbnail/${this.#path}?size=1024&v=${this.#version}`
  }

  tileSource() {
    const tiles = new SlideTiles(
      this.facts,
      new ServerTiles(this.facts, { icc: this.facts.icc, onHoles: () => this.onHoles?.() }),
    )
    this.#open.add(tiles)
    return tiles
  }

  async associatedImage(name: string): Promise<string> {
    return `associated/${this.#path}?image=${encodeURIComponent(name)}&v=${this.#version}`
  }

  async badTiles(): Promise<BadTile[]> {
    return (await fetchJson(`bad-tiles/${this.#path}`)) as BadTile[]
  }

  checks(): Promise<SlideChecks | null> {
    return serverChecks(this.facts)
  }

  close(): void {
    for (const { queue } of this.#open) queue.close()
  }
}
