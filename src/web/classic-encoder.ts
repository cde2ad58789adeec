/** In place of `src/codec/classic-encoder.ts`: browsers decode the classic codecs, but have no encoder for all of them. */
import type { LossyKind, LossyOptions } from '../codec/classic-encoder.js'
import { UnsupportedError } from '../errors.js'
import type { Image } from '../image/image.js'

/** @throws UnsupportedError ERR_IMAGE_UNSUPPORTED */
export function encodeLossy(
  kind: LossyKind,
  _image: Image,
  _quality: number,
  _how?: LossyOptions,
): Promise<Uint8Array> {
  return refused(kind)
}

/** @throws UnsupportedError ERR_IMAGE_UNSUPPORTED */
export function encodeLossless(_image: Image): Promise<Uint8Array> {
  return refused('WebP')
}

function refused(kind: string): Promise<never> {
  const what = `Browsers can't write ${kind} as tiles are stored; encode without a check`
  return Promise.reject(new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what))
}
