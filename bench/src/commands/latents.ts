/** `cleric bench latents`. */

import { existsSync } from 'node:fs'
import { type Image, openCodec, SlideError } from 'cleric'
import {
  type Cli,
  type CodecChoice,
  codecOptions,
  integerFrom,
  numberFrom,
  SyntheticSlide,
  table,
} from 'cleric/internal'
import { centre, openImageSet } from '../image-set.js'
import { CELL, PLACE } from '../latents/features.js'
import { benchLatents, type LatentReport } from '../latents/latents.js'
import { percent } from './percent.js'
import { sharedData } from './shared-data.js'

interface Options extends CodecChoice {
  readonly train?: string
  readonly data?: string
  readonly drawn: number
  readonly limit: number
  readonly quality: number
  readonly side: number
}

const SIDE = PLACE * CELL

export function addLatentsBench(cli: Cli): void {
  cli.add<Options>(
    'bench latents',
    'What a linear model tells from latents, beside the same from pixels, and how much faster they are read',
    (command) =>
      codecOptions(command)
        .option('--train <folder>', 'images to learn from (default: ../shared/data/train, if it is there)')
        .option('--data <folder>', 'images to be judged on (default: ../shared/data/eval, if it is there)')
        .option(
          '--drawn <count>',
          'drawn images to learn from as well, and half as many to be judged on',
          integerFrom(0, 1000),
          20,
        )
        .option('--limit <count>', 'most images of a folder, spread over it', integerFrom(1, 1e5), 100)
        .option(
          '--side <pixels>',
          `most of an image's side, cut to a multiple of ${SIDE}`,
          integerFrom(SIDE, 1024),
          512,
        )
        .option('--quality <number>', 'of the tiles', numberFrom(0, 100), 60),
    async (session, options) => {
      const { train = sharedData('train'), data = sharedData('eval'), drawn, limit, quality, side, ...choice } = options
      const read = async (path: string) => {
        if (existsSync(path)) return imagesOf(path, side, limit, session.signal)
        session.warn(`${path} is not there: drawn images only`)
        return []
      }
      const seen = [...(await read(train)), ...(await drawnImages(drawn, side, 1))]
      const heldOut = [
        { name: 'real', images: await read(data) },
        { name: 'drawn', images: await drawnImages(drawn >> 1, side, 2) },
      ].filter(({ images }) => images.length > 0)
      if (seen.length === 0 || heldOut.length === 0) {
        throw new SlideError('ERR_UNSUPPORTED_SLIDE', 'There are no images to learn from, or none to be judged on')
      }
      const { model, device, adapter } = choice
      using codec = await openCodec({ model, device, adapter, signal: session.signal })
      const progress = session.progress('bench latents')
      const report = await benchLatents({
        ...{ codec, quality, train: seen, test: heldOut, signal: session.signal },
        onProgress: (done, total) => progress.update(done, total, `${done} of ${total}`),
      })
      progress.end()
      const on = { model: codec.model, device: codec.device }
      return { json: { ...on, ...report }, text: text(report, codec.device.name) }
    },
    'cleric bench latents --device cpu --limit 60',
  )
}

/** Images spread over a folder, cut to whole cells. */
async function imagesOf(path: string, side: number, limit: number, signal: AbortSignal): Promise<Image[]> {
  using set = await openImageSet(path, 0)
  const count = Math.min(limit, set.names.length)
  const images: Image[] = []
  for (let i = 0; i < count; i++) {
    const [read] = await set.read(Math.floor((i * set.names.length) / count), [0], signal)
    if (read && Math.min(read.image.width, read.image.height) >= SIDE) images.push(cut(read.image, side))
  }
  return images
}

function cut(image: Image, side: number): Image {
  return centre(image, Math.floor(Math.min(side, image.width, image.height) / SIDE) * SIDE)
}

/** Places of drawn slides, tissue and glass as they come. */
async function drawnImages(count: number, side: number, seed: number): Promise<Image[]> {
  const whole = Math.floor(side / SIDE) * SIDE
  const slide = new SyntheticSlide(`synthetic:8192x8192:${seed}`)
  const columns = Math.floor(8192 / whole)
  return Promise.all(
    Array.from({ length: count }, (_, i) => {
      const at = Math.floor(((i + 0.5) * columns ** 2) / count)
      const [x, y] = [(at % columns) * whole, Math.floor(at / columns) * whole]
      return slide.readRegion({ x, y, level: 0, width: whole, height: whole })
    }),
  )
}

function text({ quality, train, test, rows, speed }: LatentReport, device: string): string {
  const head = [
    'held out',
    'from',
    'features',
    'R2',
    'error a cell',
    'error an image',
    'tissue right',
    'IoU tissue',
    'IoU glass',
  ]
  const lines = rows.map(({ on, from, features, nuclei, tissue }) => [
    ...[on, from, String(features), nuclei.r2.toFixed(3), nuclei.meanError.toFixed(2), percent(nuclei.imageError)],
    ...[percent(tissue.accuracy), tissue.iouTissue.toFixed(3), tissue.iouGlass.toFixed(3)],
  ])
  const { latents, pixels, times } = speed
  const facts = test.map(
    ({ name, images, meanCount, tissueShare }) =>
      `${images} ${name} images, ${meanCount.toFixed(2)} nuclei a cell of ${SIDE} x ${SIDE} pixels, ${percent(tissueShare)} tissue`,
  )
  return [
    `Quality ${quality}; learnt from ${train} images; held out: ${facts.join('; ')}`,
    table([head, ...lines]),
    '',
    `${device}: latents ${latents.toFixed(2)} Mpx/s, pixels ${pixels.toFixed(2)} Mpx/s: ${times.toFixed(2)} times as fast`,
  ].join('\n')
}
