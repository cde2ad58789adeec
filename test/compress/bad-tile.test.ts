/** What a damaged tile of a slide costs: that tile, in whatever tiles the archive has it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { validateArchive } from '../../src/archive/validate.js'
import { compressSlide } from '../../src/compress/compress.js'
import { openSlide } from '../../src/slide/open.js'
import type { Level, SlideSource } from '../../src/slide/source.js'
import { losslessCodec } from '../payload-codec.js'
import { type DrawnImage, drawTiff } from '../tiff/draw-tiff.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-bad-tile-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const codec = losslessCodec()

const sample = (x: number, y: number, channel: number) => 60 + ((x * (channel + 2) + y * 5) % 120)
const image: DrawnImage = {
  width: 700,
  height: 500,
  sample,
  samples: 3,
  photometric: 6,
  compression: 'jpeg',
  tile: [240, 240],
  tags: [[530, 3, [1, 1]]],
}
/** The tile in the second column of the second row of 3 x 3. */
const damage = (bytes: Buffer, number: number) => (number === 4 ? Buffer.from(bytes).fill(0, bytes.length >> 1) : bytes)
const isBad = (x: number, y: number) => x >= 240 && x < 480 && y >= 240 && y < 480

async function whole(slide: SlideSource): Promise<Uint8Array> {
  const { width, height } = slide.levels[0] as Level
  return (await slide.readRegion({ x: 0, y: 0, level: 0, width, height })).data
}

const APERIO = 'Aperio Image Library v11.2.1\n700x500 [0,0 700x500] (240x240) JPEG/RGB Q=70|AppMag = 40|MPP = 0.25'
for (const [name, tags] of [
  ['plain.tif', []],
  ['slide.svs', [[270, 2, APERIO]]],
] as const) {
  test(`${name}: a damaged tile costs itself and nothing around it, and is told and marked`, async (t) => {
    const drawn = { ...image, tags: [...(image.tags ?? []), ...tags] }
    writeFileSync(at(`sound-${name}`), await drawTiff([drawn]))
    writeFileSync(at(name), await drawTiff([{ ...drawn, damage }]))
    const failure = await t.throwsAsync(compressSlide(at(name), at('failed.cleric.tif'), { codec, tile: 256 }), {
      message:
        /level 0, \d+ x \d+ pixels from 0, 0 .*can't be read.*(tile 1, 1|OpenSlide|JPEG).*--on-bad-tile background/,
    })
    t.is(failure.message.split(at(name)).length, 2, 'the slide is named once')
    const path = at(`${name}.cleric.tif`)
    const options = { codec, tile: 256, background: 'keep', onBadTile: 'background' } as const
    const { unreadableTiles } = await compressSlide(at(name), path, options)
    t.deepEqual(
      unreadableTiles.map(({ column, row, isPartial }) => [column, row, isPartial]),
      [
        [0, 0, true],
        [1, 0, true],
        [0, 1, true],
        [1, 1, true],
      ],
    )
    using sound = await openSlide(at(`sound-${name}`))
    using archive = await openArchive(path, { codec })
    const [expected, got] = [await whole(sound), await whole(archive)]
    let wrong = 0
    for (let i = 0; i < got.length; i++) {
      const pixel = Math.floor(i / 3)
      const want = isBad(pixel % 700, Math.floor(pixel / 700)) ? 255 : expected[i]
      if (got[i] !== want) wrong++
    }
    t.is(wrong, 0)
    const { ok, unreadable } = await validateArchive(archive)
    t.true(ok)
    t.is(unreadable.length, 4)
  })
}

test('a run that met places that could not be read marks them as well when it is resumed', async (t) => {
  writeFileSync(at('resumed.tif'), await drawTiff([{ ...image, damage }]))
  const options = { codec, tile: 128, background: 'keep', onBadTile: 'background' } as const
  const { unreadableTiles } = await compressSlide(at('resumed.tif'), at('undisturbed.cleric.tif'), options)
  t.true(unreadableTiles.some(({ isPartial }) => isPartial) && unreadableTiles.some(({ isPartial }) => !isPartial))
  const stop = new AbortController()
  const onProgress = ({ tiles }: { tiles: number }) => tiles === 18 && stop.abort()
  await t.throwsAsync(
    compressSlide(at('resumed.tif'), at('r.cleric.tif'), { ...options, onProgress, signal: stop.signal }),
  )
  const resumed = await compressSlide(at('resumed.tif'), at('r.cleric.tif'), { ...options, resume: true })
  t.true(resumed.resumedTiles > 9)
  const places = (tiles: typeof unreadableTiles) => tiles.map(({ column, row, isPartial }) => [column, row, isPartial])
  t.deepEqual(places(resumed.unreadableTiles), places(unreadableTiles))
  t.true(readFileSync(at('r.cleric.tif')).equals(readFileSync(at('undisturbed.cleric.tif'))))
})
