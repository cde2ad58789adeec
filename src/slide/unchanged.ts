/** Whether a slide is still the one that was opened when all of it has been read. */
import { statSync } from 'node:fs'
import { SlideError } from '../errors.js'
import { versionOf } from '../files/version.js'
import { slideFiles } from './mirax.js'

/**
 * The versions of a slide's files, as far as these are known. What isn't a file, such as the description of a drawn
 * slide, never changes.
 *
 * @example
 * const unchanged = new UnchangedSlide(path)
 * await readAll(path)
 * unchanged.mustHold()
 */
export class UnchangedSlide {
  readonly #path: string
  readonly #version: string

  constructor(path: string) {
    this.#path = path
    this.#version = versionsOf(path)
  }

  /** @throws SlideError ERR_SLIDE_CHANGED if a file has another size, time of change or inode than it had */
  mustHold(): void {
    if (versionsOf(this.#path) === this.#version) return
    const what = 'was written to while it was read, so that the result would be part of one slide and part of another'
    throw new SlideError('ERR_SLIDE_CHANGED', `${this.#path} ${what}; nothing is kept of it under the output's name`)
  }
}

function versionsOf(path: string): string {
  const version = (file: string) => {
    try {
      const stats = statSync(file, { bigint: true, throwIfNoEntry: false })
      return stats ? versionOf(stats) : 'none'
    } catch {
      // As of a drawn slide, whose description may be longer than a path.
      return 'none'
    }
  }
  return slideFiles(path).map(version).join(' ')
}
