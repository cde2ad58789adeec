/** TIFFs in a folder, opened as slides, and what is expected of their pixels. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Image } from '../../../src/image/image.js'
import { type OpenSlideOptions, openSlide } from '../../../src/slide/open.js'
import type { Level, SlideSource } from '../../../src/slide/source.js'
import { type Drawing, type DrawnImage, drawTiff } from '../../tiff/draw-tiff.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-tiff-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0

/** Writes bytes to a file of its own; returns its path. */
export function written(bytes: Uint8Array, name = 'drawn.tif'): string {
  const path = join(folder, `${files++}-${name}`)
  writeFileSync(path, bytes)
  return path
}

/** Draws a TIFF; returns its path. */
export async function drawn(pages: readonly DrawnImage[], drawing?: Drawing, name?: string): Promise<string> {
  return written(await drawTiff(pages, drawing), name)
}

/** The pixels of a level, all of them. */
export function whole(slide: SlideSource, level = 0): Promise<Image> {
  const { width, height } = slide.levels[level] as Level
  return slide.readRegion({ x: 0, y: 0, level, width, height })
}

/** Draws a TIFF, and opens it for as long as `use` takes. */
export async function withSlide<T>(
  pages: readonly DrawnImage[],
  use: (slide: SlideSource) => Promise<T>,
  options: OpenSlideOptions = {},
  drawing?: Drawing,
): Promise<T> {
  using slide = await openSlide(await drawn(pages, drawing), options)
  return await use(slide)
}

export type Colours = (x: number, y: number) => readonly [number, number, number]

/** Fails unless every pixel of an image is as near to its colour as `tolerance` says. */
export function isAs(t: ExecutionContext, image: Image, colours: Colours, tolerance = 0, what = ''): void {
  let most = 0
  let where = ''
  for (let y = 0, i = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      for (const value of colours(x, y)) {
        const off = Math.abs((image.data[i++] as number) - value)
        if (off > most) [most, where] = [off, `${x}, ${y}`]
      }
    }
  }
  t.true(most <= tolerance, `${what}: differs by ${most} at ${where}`)
}

/** Why a TIFF can't be opened. */
export async function refusalOf(
  t: ExecutionContext,
  pages: readonly DrawnImage[],
  options: OpenSlideOptions = {},
  drawing?: Drawing,
): Promise<string> {
  const path = await drawn(pages, drawing)
  const error = await t.throwsAsync(openSlide(path, options))
  t.is((error as { code?: string } | undefined)?.code, 'ERR_UNSUPPORTED_SLIDE')
  t.true(error?.message.startsWith(path), error?.message)
  return error?.message.slice(path.length) ?? ''
}
