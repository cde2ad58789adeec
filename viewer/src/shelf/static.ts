/** The slides of a folder that `cleric static` wrote: no program runs at the server, so that only the browser decodes. */
import type { OpenSlide, Shelf, SlideEntry } from '../slide.js'
import { pageWorker } from '../tiles/page-worker.js'
import { fetchJson } from './answers.js'
import { openAlone } from './browser.js'

/** The list that `cleric static` writes (`src/static/static-folder.ts`); all addresses are relative to the page. */
interface StaticList {
  readonly slides: readonly {
    readonly name: string
    readonly archive: string
    readonly model: string
    readonly thumbnail: string | null
  }[]
}

export class StaticShelf implements Shelf {
  readonly #address: string
  #list: Promise<StaticList> | null = null

  constructor(address: string) {
    this.#address = address
  }

  async list(): Promise<SlideEntry[]> {
    return (await this.#read()).slides.map(({ name, thumbnail }) => ({ name, thumbnail }))
  }

  async open(name: string, signal: AbortSignal): Promise<OpenSlide> {
    const { slides } = await this.#read()
    const slide = slides.find((each) => each.name === name)
    if (!slide) throw new Error('it is not in the list of slides')
    const [archive, model] = [slide.archive, slide.model].map((address) => new URL(address, document.baseURI))
    return openAlone(name, (archive as URL).href, model, await pageWorker(), signal)
  }

  #read(): Promise<StaticList> {
    this.#list ??= fetchJson(this.#address) as Promise<StaticList>
    return this.#list
  }
}
