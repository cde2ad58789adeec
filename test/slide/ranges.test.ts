/** Slides read by ranges of bytes: what is read is what a path gives, and what needs a path is told. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { type ByteSource, openBytes } from '../../src/files/byte-source.js'
import { openSlide } from '../../src/slide/open.js'
import { openByRanges } from '../../src/slide/ranges.js'

const svs = fileURLToPath(new URL('../../../shared/data/slides/CMU-1-Small-Region.svs', import.meta.url))
if (!existsSync(svs) && process.env.CI === 'true') test('the data is there', (t) => t.fail(svs))
const testWithData = existsSync(svs) ? test : test.skip

/** Counts what is asked for, and tells whether it is closed. */
class CountedBytes implements ByteSource {
  readonly name: string
  readonly size: number
  readonly version: string
  bytes = 0
  isClosed = false
  readonly #source: ByteSource

  constructor(source: ByteSource, name: string) {
    this.#source = source
    this.name = name
    this.size = source.size
    this.version = source.version
  }

  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    this.bytes += length
    return this.#source.read(offset, length, signal)
  }

  close(): void {
    this.isClosed = true
    this.#source.close()
  }
}

testWithData('a slide of Aperio is the one that OpenSlide shows', async (t) => {
  const source = new CountedBytes(await openBytes(svs), 's3://scans/a.svs')
  const slide = await openByRanges(source)
  using local = await openSlide(svs)
  t.truthy(slide)
  if (!slide) return
  t.is(slide.path, 's3://scans/a.svs')
  t.is(slide.format, local.format)
  t.deepEqual(slide.mpp, local.mpp)
  t.is(slide.objectivePower, local.objectivePower)
  t.deepEqual(slide.levels, local.levels)
  t.deepEqual([...slide.associatedImages].sort(), [...local.associatedImages].sort())
  t.deepEqual(slide.iccProfile?.(), local.iccProfile?.())
  for (const [key, value] of Object.entries(local.properties)) {
    if (/^(aperio\.|openslide\.(vendor|comment|objective|mpp))/.test(key)) t.is(slide.properties[key], value, key)
  }
  const region = { x: 500, y: 700, level: 0, width: 700, height: 500 }
  const opening = source.bytes
  t.deepEqual(await slide.readRegion(region), await local.readRegion(region))
  t.true(source.bytes - opening < 2 ** 20 && source.size > 2 ** 20)
  for (const name of local.associatedImages) {
    t.deepEqual(await slide.readAssociatedImage(name), await local.readAssociatedImage(name), name)
  }
  const [ours, theirs] = [slide.jpegTiles?.(0), local.jpegTiles?.(0)]
  t.deepEqual(await ours?.read(1, 1), await theirs?.read(1, 1))
  t.truthy(await ours?.read(1, 1))
  slide.close()
  t.true(source.isClosed)
})

test('what is no TIFF needs a path, and its bytes stay open', async (t) => {
  const text = new CountedBytes(await openBytes(fileURLToPath(import.meta.url)), 's3://scans/a.czi')
  t.is(await openByRanges(text), null)
  t.false(text.isClosed)
  text.close()
})
