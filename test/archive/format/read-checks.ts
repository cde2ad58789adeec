/** Whether the package reads archives that are written by docs/format.md. */
import assert from 'node:assert/strict'
import sharp from 'sharp'
import { openArchive } from '../../../src/archive/archive.js'
import type { Layout } from '../../../src/archive/head-writer.js'
import { validateArchive } from '../../../src/archive/validate.js'
import { type Archive, colourOf, type Tile, writeArchive } from './archive.js'
import { exampleOf, type FormatDocument } from './document.js'
import type { Check } from './limit-checks.js'
import { model, nanoCodec, QUALITY, sampleTile, TILE } from './tile-checks.js'

const LAYOUTS: readonly Layout[] = ['compat', 'strict']
const BLUE = [10, 20, 200]

async function jpeg(width: number, height: number): Promise<Uint8Array> {
  const image = sharp({ create: { width, height, channels: 3, background: 'plum' } })
  return new Uint8Array(await image.jpeg({ chromaSubsampling: '4:4:4' }).toBuffer())
}

/** Two levels, one of whose tiles is stored, and all else that an archive may have. */
async function sampleArchive(document: FormatDocument, layout: Layout): Promise<Archive> {
  const { bytes } = await sampleTile(document)
  const background = { red: 250, green: 240, blue: 230 }
  const tiles: Tile[] = [
    { bytes },
    { colour: colourOf(document, 'blank', BLUE) },
    { colour: colourOf(document, 'unreadable', Object.values(background)) },
    { bytes, colour: colourOf(document, 'partly unreadable') },
  ]
  const [tileWidth, tileHeight] = [TILE.width, TILE.height]
  const overviewTile = { bytes: await jpeg(512, 512) }
  const tiled = { tileWidth: 512, tileHeight: 512, tiles: [overviewTile] }
  return {
    layout,
    levels: [
      { width: 300, height: 40, tileWidth, tileHeight, tiles },
      { width: 75, height: 10, tileWidth: 80, tileHeight: 16, tiles: [{ colour: colourOf(document, 'blank', BLUE) }] },
    ],
    overview:
      layout === 'strict'
        ? []
        : [
            { width: 100, height: 20, ...tiled },
            { width: 50, height: 10, ...tiled },
          ],
    images: [{ name: 'label', width: 30, height: 20, bytes: await jpeg(30, 20) }],
    tileHead: {
      ...exampleOf(document.text, 'format'),
      quality: QUALITY,
      model: { name: model.name, hash: model.hash },
    },
    slide: {
      ...exampleOf(document.text, 'downsamples'),
      background,
      properties: { Ärzte: 'naïve' },
      downsamples: [1, 4],
    },
    iccProfile: Uint8Array.of(1, 2, 3),
  }
}

async function readsArchives(document: FormatDocument): Promise<void> {
  for (const layout of LAYOUTS) {
    const sample = await sampleArchive(document, layout)
    const { bytes } = writeArchive(document, sample)
    using archive = await openArchive(new Blob([bytes]), { codec: await nanoCodec() })
    const { mpp, objectivePower, background, properties, source, tile } = exampleOf(document.text, 'downsamples')
    assert.equal(archive.layout, layout)
    assert.deepEqual(archive.model, { name: model.name, hash: model.hash })
    assert.equal(archive.quality, QUALITY)
    assert.deepEqual([archive.tile, archive.mpp, archive.objectivePower], [tile, mpp, objectivePower])
    assert.deepEqual([archive.source, archive.iccProfile()], [source, sample.iccProfile])
    assert.deepEqual({ ...archive.properties }, { Ärzte: 'naïve' })
    assert.notDeepEqual([archive.background, archive.properties], [background, properties])
    for (const [i, { width, height, tileWidth, tileHeight }] of sample.levels.entries()) {
      const level = archive.levels[i]
      assert.deepEqual(
        [level?.width, level?.height, level?.tileWidth, level?.tileHeight, level?.downsample],
        [width, height, tileWidth, tileHeight, 4 ** i],
      )
    }
    const [level] = archive.levels
    assert.deepEqual([level?.columns, level?.rows, level?.blankTiles, level?.unreadableTiles], [4, 1, 1, 2])
    const { pixels } = await sampleTile(document)
    const stored = await archive.readTile(0, 0, 0)
    assert.deepEqual(stored.data, pixels.subarray(0, TILE.width * 40 * 3))
    assert.deepEqual([...(await archive.readTile(0, 1, 0)).data.subarray(0, 3)], BLUE)
    assert.deepEqual([...(await archive.readTile(0, 2, 0)).data.subarray(0, 3)], Object.values(archive.background))
    assert.deepEqual(
      [0, 1, 2, 3].map((column) => archive.isUnreadable(0, column, 0)),
      [false, false, true, true],
    )
    assert.deepEqual(archive.associatedImages, ['label'])
    const label = await archive.readAssociatedImage('label')
    assert.deepEqual([label.width, label.height], [30, 20])
    assert.equal(archive.overview.length, sample.overview.length)
    for (const i of archive.overview.keys()) assert.equal((await archive.readOverviewTile(i, 0)).width, 512)
    assert.ok(archive.hasChecksums)
    const { bad, badImages, badBytes } = await validateArchive(archive, { quick: true })
    assert.deepEqual([bad, badImages, badBytes], [[], [], []])
  }
}

/** Archives of before there were checksums, and of a later writer that knows more fields. */
async function readsOthers(document: FormatDocument): Promise<void> {
  for (const layout of LAYOUTS) {
    const sample = await sampleArchive(document, layout)
    const lastTag = Math.max(...document.fields().map(({ tag }) => tag))
    for (const [changes, hasChecksums] of [
      [{ isChecksummed: false }, false],
      [{ unknownTag: lastTag + 1 }, true],
    ] as const) {
      const { bytes } = writeArchive(document, { ...sample, ...changes })
      using archive = await openArchive(new Blob([bytes]), { codec: await nanoCodec() })
      assert.equal(archive.hasChecksums, hasChecksums)
      assert.deepEqual((await archive.readTile(0, 0, 0)).data.length, TILE.width * 40 * 3)
      assert.equal((await archive.readAssociatedImage('label')).width, 30)
      const validation = await validateArchive(archive)
      assert.deepEqual([validation.ok, validation.checksums], [true, hasChecksums])
    }
  }
}

export const readChecks: Readonly<Record<string, Check>> = {
  'archives by the page are read': readsArchives,
  'archives without checksums, or with fields that nobody knows, are read': readsOthers,
}
