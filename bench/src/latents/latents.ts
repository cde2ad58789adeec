/**
 * What programs that learn can tell from latents, beside the same from pixels: a linear model counts nuclei and masks
 * tissue. And how much faster latents are read than pixels.
 */
import type { Codec, Image } from 'cleric'
import { Turns, throwIfAborted } from 'cleric/internal'
import { mean } from '../curves.js'
import { detectNuclei } from '../nuclei.js'
import { separateStains } from '../stains.js'
import {
  CELL,
  cellFeatures,
  ofColour,
  ofLatents,
  ofPixels,
  PLACE,
  type PlaceValues,
  placeFeatures,
} from './features.js'
import { type LinearModel, predict, Ridge } from './ridge.js'

/** What is needed of a codec. */
export type LatentBenchCodec = Pick<Codec, 'tilesInFlight' | 'encodePayload' | 'decodePayload' | 'decodePayloadLatents'>

interface PayloadTile {
  readonly width: number
  readonly height: number
  readonly quality: number
}

export interface LatentBenchOptions {
  readonly codec: LatentBenchCodec
  readonly quality: number
  /** Sides are multiples of 64. */
  readonly train: readonly Image[]
  /** Held-out images, by what they are. */
  readonly test: readonly HeldOut[]
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

export interface HeldOut {
  readonly name: string
  readonly images: readonly Image[]
}

/** How well a linear model does on images that it hasn't seen. */
export interface LatentRow {
  /** Name of the held-out images. */
  readonly on: string
  readonly from: 'latents' | 'pixels' | 'mean colour'
  /** Numbers that the model sees. */
  readonly features: number
  readonly nuclei: {
    /** Share of the variance of a cell's count that is explained. */
    readonly r2: number
    /** Mean absolute error of a cell's count. */
    readonly meanError: number
    /** For whole images, the sum of |predicted - counted| over that of what was counted. */
    readonly imageError: number
  }
  readonly tissue: {
    /** Places that are told right. */
    readonly accuracy: number
    /** Intersection over union of the places of tissue, and of those of glass. */
    readonly iouTissue: number
    readonly iouGlass: number
  }
}

export interface LatentReport {
  readonly quality: number
  /** Images that were learnt from. */
  readonly train: number
  /** What was held out: images, mean count of a cell, share of the places that are tissue. */
  readonly test: readonly {
    readonly name: string
    readonly images: number
    readonly meanCount: number
    readonly tissueShare: number
  }[]
  readonly rows: readonly LatentRow[]
  /** Megapixels a second, of the held-out images' bytes. */
  readonly speed: { readonly latents: number; readonly pixels: number; readonly times: number }
}

/** An image's labels and its numbers by what they are from. */
interface Sample {
  readonly counts: readonly number[]
  readonly tissue: readonly number[]
  readonly values: Readonly<Record<LatentRow['from'], PlaceValues>>
}

const SOURCES = ['latents', 'pixels', 'mean colour'] as const
const PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1]
/** Every so manieth training image chooses the penalty, and is not fitted to. */
const CHOOSING = 5
/** Least of a place's pixels that are tissue, and what a pixel of tissue is darker than in a channel. */
const [TISSUE_SHARE, GLASS] = [0.5, 220]

export async function benchLatents(options: LatentBenchOptions): Promise<LatentReport> {
  const { codec, quality, train, test, signal, onProgress } = options
  const payloads: { payload: Uint8Array; tile: PayloadTile }[] = []
  const total = train.length + test.reduce((count, { images }) => count + images.length, 0)
  let done = 0
  const samplesOf = async (images: readonly Image[], isHeldOut: boolean): Promise<Sample[]> => {
    const samples: Sample[] = []
    for (const image of images) {
      throwIfAborted(signal)
      const tile = { width: image.width, height: image.height, quality }
      const payload = await codec.encodePayload(image, quality, signal)
      if (isHeldOut) payloads.push({ payload, tile })
      const latents = ofLatents(await codec.decodePayloadLatents(payload, tile, signal ? { signal } : {}))
      const pixels = await codec.decodePayload(payload, tile, signal)
      const values = { latents, pixels: ofPixels(pixels, latents.count), 'mean colour': ofColour(pixels) }
      samples.push({ ...labelsOf(image), values })
      onProgress?.(++done, total)
    }
    return samples
  }
  const seen = await samplesOf(train, false)
  const unseen: { name: string; samples: Sample[] }[] = []
  for (const { name, images } of test) unseen.push({ name, samples: await samplesOf(images, true) })

  const models = SOURCES.map((from) => ({
    from,
    count: fitted(seen, (sample) => cellsOf(sample, from)),
    mask: fitted(seen, (sample) => placesOf(sample, from)),
  }))
  const rows = unseen.flatMap(({ name, samples }) =>
    models.map(({ from, count, mask }): LatentRow => {
      const errors = { nuclei: countErrors(samples, from, count), tissue: maskErrors(samples, from, mask) }
      return { on: name, from, features: count.weights.length, ...errors }
    }),
  )
  return {
    ...{ quality, train: train.length, rows },
    test: unseen.map(({ name, samples }) => ({
      ...{ name, images: samples.length },
      meanCount: mean(samples.flatMap((sample) => sample.counts)),
      tissueShare: mean(samples.flatMap((sample) => sample.tissue)),
    })),
    speed: await speedOf(codec, payloads, signal),
  }
}

/** Nuclei by cell, found in the original's pixels, and the mask of its places. */
function labelsOf(image: Image): Pick<Sample, 'counts' | 'tissue'> {
  const { width, height, data } = image
  const [columns, rows] = [width / PLACE, height / PLACE]
  const counts = new Array<number>((columns / CELL) * (rows / CELL)).fill(0)
  const side = PLACE * CELL
  for (const { x, y } of detectNuclei(separateStains(image).haematoxylin, width, height)) {
    const cell = Math.floor(y / side) * (columns / CELL) + Math.floor(x / side)
    counts[cell] = (counts[cell] as number) + 1
  }
  const tissue = Array.from({ length: columns * rows }, (_, place) => {
    const [left, top] = [(place % columns) * PLACE, Math.floor(place / columns) * PLACE]
    let dark = 0
    for (let i = 0; i < PLACE * PLACE; i++) {
      const at = 3 * ((top + Math.floor(i / PLACE)) * width + left + (i % PLACE))
      if (Math.min(data[at] as number, data[at + 1] as number, data[at + 2] as number) < GLASS) dark++
    }
    return dark >= TISSUE_SHARE * PLACE * PLACE ? 1 : 0
  })
  return { counts, tissue }
}

/** Features and value of each thing that a model is to tell of an image. */
type Told = readonly { readonly features: Float64Array; readonly value: number }[]

function cellsOf({ counts, values }: Sample, from: LatentRow['from']): Told {
  const of = values[from]
  const columns = of.columns / CELL
  return counts.map((value, i) => ({ features: cellFeatures(of, i % columns, Math.floor(i / columns)), value }))
}

function placesOf({ tissue, values }: Sample, from: LatentRow['from']): Told {
  return tissue.map((value, place) => ({ features: placeFeatures(values[from], place), value }))
}

/** The model of the penalty that is best on images that it wasn't fitted to. */
function fitted(samples: readonly Sample[], tell: (sample: Sample) => Told): LinearModel {
  let ridge: Ridge | null = null
  for (const sample of samples.filter((_, i) => i % CHOOSING !== CHOOSING - 1)) {
    const told = tell(sample)
    // Neighbouring places are much alike: of so many, some are enough.
    const step = told.length > 256 ? 5 : 1
    for (let i = 0; i < told.length; i += step) {
      const { features, value } = told[i] as Told[number]
      ridge ??= new Ridge(features.length)
      ridge.add(features, value)
    }
  }
  if (!ridge) throw new RangeError('Expected training images but there are none')
  const choosing = samples.filter((_, i) => i % CHOOSING === CHOOSING - 1).flatMap((sample) => tell(sample))
  const models = PENALTIES.map((penalty) => (ridge as Ridge).fit(penalty))
  const errors = models.map((model) =>
    mean(choosing.map(({ features, value }) => (predict(model, features) - value) ** 2)),
  )
  return models[errors.indexOf(Math.min(...errors))] ?? (models.at(-1) as LinearModel)
}

function countErrors(samples: readonly Sample[], from: LatentRow['from'], model: LinearModel): LatentRow['nuclei'] {
  const images = samples.map((sample) =>
    // There are no fewer than none.
    cellsOf(sample, from).map(({ features, value }) => ({ value, found: Math.max(0, predict(model, features)) })),
  )
  const cells = images.flat()
  const average = mean(cells.map(({ value }) => value))
  const squared = (errors: readonly number[]) => errors.reduce((sum, error) => sum + error ** 2, 0)
  return {
    r2:
      1 - squared(cells.map(({ value, found }) => found - value)) / squared(cells.map(({ value }) => value - average)),
    meanError: mean(cells.map(({ value, found }) => Math.abs(found - value))),
    imageError:
      sum(images.map((image) => Math.abs(sum(image.map(({ value, found }) => found - value))))) /
      Math.max(1, sum(cells.map(({ value }) => value))),
  }
}

function maskErrors(samples: readonly Sample[], from: LatentRow['from'], model: LinearModel): LatentRow['tissue'] {
  const places = samples.flatMap((sample) =>
    placesOf(sample, from).map(({ features, value }) => ({ value, found: predict(model, features) > 0.5 ? 1 : 0 })),
  )
  const iou = (what: number) => {
    const both = places.filter(({ value, found }) => value === what && found === what).length
    const either = places.filter(({ value, found }) => value === what || found === what).length
    return either === 0 ? 1 : both / either
  }
  const right = places.filter(({ value, found }) => value === found).length
  return { accuracy: right / places.length, iouTissue: iou(1), iouGlass: iou(0) }
}

/** Times all tiles' latents, and all tiles' pixels, as many at a time as the device works on. */
async function speedOf(
  codec: LatentBenchCodec,
  payloads: readonly { readonly payload: Uint8Array; readonly tile: PayloadTile }[],
  signal: AbortSignal | undefined,
): Promise<LatentReport['speed']> {
  const pixels = payloads.reduce((all, { tile }) => all + tile.width * tile.height, 0)
  const rate = async (read: (payload: Uint8Array, tile: PayloadTile) => Promise<unknown>) => {
    const turns = new Turns(2 * codec.tilesInFlight)
    const began = performance.now()
    await Promise.all(payloads.map(({ payload, tile }) => turns.run(() => read(payload, tile))))
    return pixels / 1e3 / (performance.now() - began)
  }
  const latents = (payload: Uint8Array, tile: PayloadTile) =>
    codec.decodePayloadLatents(payload, tile, signal ? { signal } : {})
  const image = (payload: Uint8Array, tile: PayloadTile) => codec.decodePayload(payload, tile, signal)
  // In turns, the best of three each: other programs run on the machine, too.
  const best = { latents: 0, pixels: 0 }
  for (let round = 0; round < 3; round++) {
    best.latents = Math.max(best.latents, await rate(latents))
    best.pixels = Math.max(best.pixels, await rate(image))
  }
  return { ...best, times: best.latents / best.pixels }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
