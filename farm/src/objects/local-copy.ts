/**
 * Copies of slides whose readers need a file, in a folder for the time that they are read. All copies of a process
 * together stay below a bound: who wants more waits until another is done.
 */
import { mkdtemp, open, rm, utimes } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SlideError } from 'cleric'
import { makeFolder, throwIfAborted, untilAborted } from 'cleric/internal'
import type { ObjectBytes } from './object-bytes.js'

export interface LocalCopy extends AsyncDisposable {
  readonly path: string
}

export class Scratch {
  readonly #folder: string
  readonly #most: number
  #used = 0
  #changed: (() => void)[] = []

  /** @param most bytes of all copies that are there at the same time */
  constructor(folder: string, most: number) {
    this.#folder = folder
    this.#most = most
  }

  /**
   * Copies an object. The copy has the object's time of change, so that what is made of it is the same on each machine.
   *
   * @throws SlideError ERR_UNSUPPORTED_SLIDE if it is larger than the bound; ClericError ERR_FILE_CHANGED, ERR_NETWORK
   */
  async copy(source: ObjectBytes, modified: number, signal: AbortSignal): Promise<LocalCopy> {
    const { name, size } = source
    if (size > this.#most) {
      const what = `${name} has ${size} bytes; its reader needs a local copy, for which there are ${this.#most} (--scratch-bytes)`
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', what)
    }
    await this.#take(size, signal)
    const free = async (folder: string | null) => {
      try {
        if (folder) await rm(folder, { recursive: true, force: true })
      } finally {
        this.#used -= size
        for (const wake of this.#changed.splice(0)) wake()
      }
    }
    let folder: string | null = null
    try {
      await makeFolder(this.#folder)
      folder = await mkdtemp(join(this.#folder, 'cleric-slide-'))
      // OpenSlide tells some formats by the name.
      const path = join(folder, basename(name))
      const file = await open(path, 'wx')
      try {
        for await (const piece of source.pieces(signal)) await file.writeFile(piece)
      } finally {
        await file.close()
      }
      await utimes(path, modified / 1000, modified / 1000)
      return { path, [Symbol.asyncDispose]: () => free(folder) }
    } catch (error) {
      await free(folder)
      throw error
    }
  }

  async #take(size: number, signal: AbortSignal): Promise<void> {
    while (this.#used + size > this.#most) {
      throwIfAborted(signal)
      await untilAborted(new Promise<void>((resolve) => this.#changed.push(resolve)), signal)
    }
    throwIfAborted(signal)
    this.#used += size
  }
}
