/** What goes back: the facts of a slide, and what an error says of itself. */
import { Archive } from '../archive/archive.js'
import { isArgumentError } from '../arguments.js'
import { ClericError } from '../errors.js'
import { type SlideSource, warningsOf } from '../slide/source.js'

/** All that is known of a slide without its pixels. */
export function factsOf(slide: SlideSource) {
  const archive = slide instanceof Archive ? slide : null
  return {
    format: slide.format,
    bytes: slide.bytes,
    levels: slide.levels.map(({ width, height, downsample }, level) => {
      const tile = archive?.levels[level] ?? null
      const [tileWidth, tileHeight] = tile ? [tile.tileWidth, tile.tileHeight] : [null, null]
      return { width, height, downsample, tileWidth, tileHeight }
    }),
    mpp: slide.mpp,
    objectivePower: slide.objectivePower,
    background: slide.background,
    properties: slide.properties,
    associatedImages: slide.associatedImages,
    hasProfile: Boolean(slide.iccProfile?.()),
    quality: archive?.quality ?? null,
    model: archive?.model ?? null,
    warnings: warningsOf(slide),
  }
}

/** An error as it is told: the name of its class, its stable code, what it says. */
export interface ToldError {
  /**
   * One of those of `errors.ts`; "ArgumentError" for what was asked wrongly, "SystemError" for what the operating system
   * refuses, with its code such as ENOENT, and "InternalError", with the code ERR_INTERNAL, for what should not happen.
   */
  readonly class: string
  readonly code: string
  readonly message: string
}

export function toldError(error: unknown): ToldError {
  if (error instanceof ClericError) {
    return { class: error.constructor.name, code: error.code, message: error.message }
  }
  if (isArgumentError(error)) return { class: 'ArgumentError', code: 'ERR_INVALID_ARGUMENT', message: error.message }
  const { code, message = String(error), stack = message } = (error ?? {}) as Partial<NodeJS.ErrnoException>
  return typeof code === 'string'
    ? { class: 'SystemError', code, message }
    : { class: 'InternalError', code: 'ERR_INTERNAL', message: stack }
}
