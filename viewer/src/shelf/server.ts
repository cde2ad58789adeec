/** The slides of `cleric serve`, decoded by the server. */
import type { BadTile, OpenSlide, Shelf, SlideChecks, SlideEntry, SlideFacts } from '../slide.js'
import { ServerTiles } from '../tiles/server-tiles.js'
import { fetchJson, pathOf } from './answers.js'
import { serverChecks } from './server-checks.js'

interface ServerFacts extends SlideFacts {
  /** How its tiles should be asked for. */
  readonly icc: string
}

export class ServerShelf implements Shelf {
  async list(): Promise<SlideEntry[]> {
    const names = (await fetchJson('slides')) as string[]
    return names.map((name) => ({ name, thumbnail: null }))
  }

  async open(name: string, signal: AbortSignal): Promise<OpenSlide> {
    return new ServerSlide((await fetchJson(`slide?name=${encodeURIComponent(name)}`, signal)) as ServerFacts)
  }
}

class ServerSlide implements OpenSlide {
  readonly decodedBy = 'server'
  readonly why = 'The server decodes the tiles and sends them as JPEG'
  readonly facts: ServerFacts
  readonly overview: string | null
  onHoles: (() => void) | null = null
  readonly #closing = new AbortController()
  readonly #path: string
  readonly #version: string

  constructor(facts: ServerFacts) {
    this.facts = facts
    this.#path = pathOf(facts.name)
    this.#version = encodeURIComponent(facts.version)
    this.overview = null
  }

  tileSource() {
    const { signal } = this.#closing
    return new ServerTiles(this.facts, { icc: this.facts.icc, signal, onHoles: () => this.onHoles?.() })
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
    this.#closing.abort()
  }
}
