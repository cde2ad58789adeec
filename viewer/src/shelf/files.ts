/** Archives of this computer that were dropped on the page, or picked, in front of those of another shelf. */
import type { OpenSlide, Shelf, SlideEntry } from '../slide.js'
import { pageWorker } from '../tiles/page-worker.js'
import { openAlone } from './browser.js'

export class ShelfWithFiles implements Shelf {
  readonly #shelf: Shelf
  readonly #files = new Map<string, File>()

  constructor(shelf: Shelf) {
    this.#shelf = shelf
  }

  /** @returns the name under which it is on the shelf: one that no other slide has */
  async add(file: File): Promise<string> {
    const taken = new Set((await this.list()).map(({ name }) => name))
    let name = file.name
    for (let copy = 2; taken.has(name); copy++) name = `${file.name} (${copy})`
    this.#files.set(name, file)
    return name
  }

  async list(): Promise<readonly SlideEntry[]> {
    const files = [...this.#files.keys()].map((name) => ({ name, thumbnail: null }))
    return [...files, ...(await this.#shelf.list())]
  }

  async open(name: string, signal: AbortSignal): Promise<OpenSlide> {
    const file = this.#files.get(name)
    return file ? openFile(name, file, signal) : this.#shelf.open(name, signal)
  }
}

/** The archive says which model it needs; where the page came from it lies by its hash. */
async function openFile(name: string, file: File, signal: AbortSignal): Promise<OpenSlide> {
  const worker = await pageWorker()
  using slide = await worker.open(file, { signal })
  const model = new URL(`models/${slide.facts.model.hash}.safetensors`, document.baseURI)
  return openAlone(name, file, model, worker, signal)
}
