/** What is learnt of tiles, and when it spares the tile after them a way to be stored. */
import test from 'ava'
import type { Candidate } from '../../src/codec/candidate.js'
import { choose, networkCandidate } from '../../src/codec/choice.js'
import { ClassicSearch } from '../../src/codec/classic-search.js'
import { lambdaAt } from '../../src/codec/rate.js'
import {
  decodeSeen,
  encodeSeen,
  expectedClassic,
  expectedGain,
  lookOf,
  type SeenTile,
  seenTile,
  verdictOf,
} from '../../src/codec/seen-tiles.js'
import { cropImage, type Image } from '../../src/image/image.js'
import { fractal, random } from '../../src/image/noise.js'

const tissue: SeenTile = { jpeg: 30, bits: 32, avif: -60, network: -60, gain: -12 }
const scan: SeenTile = { jpeg: 44, bits: 30, avif: -90, network: 90, gain: -12 }

test('tiles that look alike and were all stored best one way settle it', (t) => {
  t.is(verdictOf(tissue, Array(3).fill(tissue)), 'network')
  t.is(verdictOf(tissue, Array(3).fill({ ...tissue, network: 3 })), 'network', 'AVIF was not enough better')
  t.is(verdictOf(scan, Array(3).fill(scan)), 'classic')
  t.is(verdictOf({ ...tissue, avif: null }, Array(3).fill(tissue)), 'network', 'before an AVIF is tried, too')
  t.is(verdictOf(tissue, [...Array(3).fill(tissue), ...Array(3).fill(scan)]), 'network', 'others do not count')
})

test('where AVIF is further ahead of the JPEG than where it was better than the network, it is better too', (t) => {
  const glass = { ...scan, avif: -90 - 40 }
  t.is(verdictOf(glass, Array(3).fill(scan)), 'classic')
  t.is(verdictOf({ ...scan, avif: -90 + 40 }, Array(3).fill(scan)), null, 'where it is less far ahead it need not be')
  t.is(verdictOf(glass, Array(3).fill({ ...scan, network: -60 })), null, 'nor does the network win by that')
  t.is(verdictOf(glass, [...Array(3).fill(scan), { ...glass, network: 0 }]), null, 'nor against one that looks alike')
})

/** Tissue of one slide, in all of which the network costs as much less than the JPEG, so AVIF wins where it is far ahead. */
function tissueOf(avifs: readonly number[], scatter = 0): SeenTile[] {
  return avifs.map((avif, i) => {
    const [jpeg, bits] = [24 + (i % 7), 34 + (i % 4)]
    return { jpeg, bits, avif, network: -53 + 9 - avif + (i % 2 ? scatter : -scatter), gain: -9 }
  })
}
const slide = [-38, -41, -44, -46, -48, -50, -52, -55, -58, -60]

test('how far AVIF is ahead of the JPEG tells how far it is of the network, on a slide where both are taken', (t) => {
  const at = (avif: number, seen: readonly SeenTile[]) => verdictOf({ jpeg: 26, bits: 36, avif }, seen)
  t.is(at(-66, tissueOf(slide)), 'classic', 'the network would cost an eighth more')
  t.is(at(-56, tissueOf(slide)), 'classic')
  t.is(at(-50, tissueOf(slide)), null, 'too near')
  t.is(at(-40, tissueOf(slide)), null, 'no network without a classic codec is settled by it')
  t.is(at(-56, tissueOf(slide, 9)), null, 'tiles that scatter say less')
  t.is(at(-66, tissueOf(slide.slice(3))), null, 'too few')
  const others = tissueOf(slide).map((tile) => ({ ...tile, jpeg: tile.jpeg + 30 }))
  t.is(at(-66, others), null, 'nor of other tissue')
  t.is(verdictOf({ jpeg: 26, bits: 36, avif: null }, tissueOf(slide)), null, 'nor before an AVIF is tried')
})

test('alike tiles do not settle it for the network where it is predicted behind', (t) => {
  const had = Array.from({ length: 3 }, () => ({ ...tissue, bits: 38, network: 0 }))
  const look = { ...tissue, bits: 32 }
  t.is(verdictOf(look, had), 'network')
  // The fewer bits, the worse is the network: these, of more, aren't alike, but say so.
  const trend = Array.from({ length: 6 }, (_, i) => ({ ...tissue, bits: 41 + i / 4, network: -20 - 2 * i }))
  t.is(verdictOf(look, [...had, ...trend]), null)
  t.is(verdictOf({ ...look, bits: 38 }, [...had, ...trend]), 'network')
})

test('by the JPEG alone tiles must be more alike', (t) => {
  const few = Array(3).fill({ ...tissue, bits: tissue.bits + 6 })
  t.is(verdictOf(tissue, few), 'network')
  t.is(verdictOf({ ...tissue, avif: null }, few), null)
})

test('what AVIF at its best gains is the mean of tiles that look alike', (t) => {
  const seen = [-8, -12, -16].map((gain) => ({ ...tissue, gain }))
  t.is(expectedGain(tissue, seen), 2 ** (-12 / 128))
  t.is(expectedGain(tissue, [...seen, { ...scan, gain: 99 }]), 2 ** (-12 / 128))
  t.is(expectedGain(tissue, seen.slice(1)), null)
})

test('too few, too unlike, not agreed or not by enough settle nothing', (t) => {
  t.is(verdictOf(tissue, []), null)
  t.is(verdictOf(tissue, [tissue, tissue]), null)
  t.is(verdictOf(tissue, [tissue, tissue, tissue, { ...tissue, network: 10 }]), null)
  t.is(verdictOf(tissue, Array(9).fill({ ...tissue, network: 4 })), null, 'a classic codec was taken')
  t.is(verdictOf(tissue, Array(9).fill({ ...tissue, network: 8 })), null)
  for (const other of [{ jpeg: 41 }, { bits: 50 }, { avif: -30 }]) {
    t.is(verdictOf({ ...tissue, ...other }, Array(9).fill(tissue)), null)
  }
})

test('it is written in whole numbers and read back', (t) => {
  for (const tile of [tissue, scan, seenTile(lookOf(1e9, 1e12, 3e-9, 1) as SeenTile, 1e30, 1e-30, 1)]) {
    t.deepEqual(decodeSeen(encodeSeen(tile)), tile)
    t.is(encodeSeen(tile).length, 10)
  }
  t.is(decodeSeen(encodeSeen(null)), null)
})

/** Something like tissue, a square. */
function drawn(side: number): Image {
  const data = new Uint8Array(side * side * 3)
  for (let i = 0; i < data.length; i += 3) {
    const [x, y] = [(i / 3) % side, Math.floor(i / 3 / side)]
    const value = 60 + 120 * fractal(x / 5, y / 5, 1) + 12 * random(x, y, 2)
    data.set([value, value / 2 + 20 * random(x, y, 3), 255 - value], i)
  }
  return { data, width: side, height: side, channels: 3 }
}

const SIDE = 96
const image = drawn(SIDE)
const tile = { image, shown: image, quality: 60, promisedMse: 60, mostMse: Number.POSITIVE_INFINITY, source: null }

/** How often the network is asked, and the outcome. */
async function chosen(bytes: number, seen: readonly SeenTile[], mostMse = Number.POSITIVE_INFINITY) {
  let asked = 0
  const encode = async (): Promise<Candidate> => {
    asked++
    const decoded = { ...image, data: image.data.map((value) => (value < 128 ? value + 3 : value - 3)) }
    return networkCandidate({ ...tile, mostMse }, { payload: new Uint8Array(bytes), decoded })
  }
  return { ...(await choose({ ...tile, mostMse }, encode, { seen })), asked: () => asked }
}

test('what was learnt spares the network, or the AVIF, and costs next to nothing', async (t) => {
  const poor = await chosen(20_000, [])
  t.is(poor.asked(), 1)
  t.true((poor.seen as SeenTile).network > 0)
  const spared = await chosen(20_000, Array(3).fill(poor.seen))
  t.is(spared.asked(), 0)
  t.is(spared.seen, null)
  t.is(spared.best.kind, poor.best.kind)
  t.true(spared.best.cost < 1.05 * poor.best.cost)

  const good = await chosen(1500, [])
  t.is(good.best.kind, 'cleric')
  t.true((good.seen as SeenTile).network < 0)
  const again = await chosen(1500, Array(3).fill(good.seen))
  t.is(again.seen, null, 'no AVIF was made')
  t.deepEqual(again.best, good.best)
})

test('what a classic codec costs is told from tiles that look alike to a JPEG', (t) => {
  const seen = [-60, -64, -68].map((avif) => ({ ...tissue, avif }))
  const look = { ...tissue, avif: null }
  t.is(expectedClassic(look, seen), 2 ** ((-64 - 12) / 128))
  t.is(expectedClassic(look, [...seen, { ...scan, avif: 99 }]), 2 ** ((-64 - 12) / 128), 'others do not count')
  t.is(expectedClassic(look, [scan]), Number.POSITIVE_INFINITY)
})

test('a tile that is settled for the network is tried both ways if the network then costs too much', async (t) => {
  const good = await chosen(1500, [])
  const dear = await chosen(20_000, Array(3).fill(good.seen))
  t.is(dear.asked(), 1)
  t.is(dear.best.kind, 'avif')
  t.true((dear.seen as SeenTile).network > 0, 'the tiles after it know')
})

test('what a JPEG costs is told from a quarter of it', async (t) => {
  const large = drawn(256)
  for (const quality of [20, 60, 95]) {
    // The error is of what is shown, here and there.
    for (const shown of [large, { width: 250, height: 203 }, { width: 9, height: 5 }]) {
      const search = new ClassicSearch({ ...tile, image: large, shown, quality }, undefined)
      const [whole, sampled] = [await search.plainJpeg(), await search.sampledJpeg()]
      const bits = 8 * whole.payload.length
      t.true(Math.abs(sampled.bits / bits - 1) < 0.03, `${sampled.bits} of ${bits} bits at ${quality}`)
      t.true(Math.abs(sampled.cost / whole.cost - 1) < 0.03, `${sampled.cost} of ${whole.cost} at ${quality}`)
    }
  }
})

test('a tile of any height has a sample', async (t) => {
  for (const height of [1, 7, 8, 31, 33, 39, 41]) {
    const low = cropImage(image, SIDE, height)
    const { bits, cost } = await new ClassicSearch({ ...tile, image: low, shown: low }, undefined).sampledJpeg()
    t.true(bits > 8 * 400 && cost > bits, `${height}: ${bits}, ${cost}`)
  }
})

test('a mark on white of which the sample sees nothing costs something', async (t) => {
  const data = new Uint8Array(64 * 64 * 3).fill(255)
  data.fill(0, 10 * 64 * 3, 30 * 64 * 3)
  const marked: Image = { data, width: 64, height: 64, channels: 3 }
  const { bits, cost } = await new ClassicSearch({ ...tile, image: marked, shown: marked }, undefined).sampledJpeg()
  t.true(bits > 0 && cost > 0, `${bits}, ${cost}`)
})

test('a floor holds whatever was learnt', async (t) => {
  const good = await chosen(1500, [])
  const { best } = await chosen(1500, Array(3).fill(good.seen), 2)
  t.true(best.mse <= 2)
  const poor = await chosen(20_000, [])
  t.true((await chosen(20_000, Array(3).fill(poor.seen), 2)).best.mse <= 2)
})

test('AVIF at its best is not looked for where tiles that look alike say that it gains too little', async (t) => {
  const search = new ClassicSearch(tile, undefined)
  const [jpeg, quick] = [await search.sampledJpeg(), await search.quickAvif()]
  // A network 5 % ahead of the quick AVIF, and tiles that settle nothing.
  const bytes = Math.round((0.95 * quick.cost - lambdaAt(60) * 9 * SIDE * SIDE) / 8)
  const look = lookOf(jpeg.bits, jpeg.cost, quick.cost, SIDE * SIDE) as SeenTile
  const undecided = (gain: number) => [-20, 0, 7].map((network) => ({ ...look, network, gain }))
  const tried = await chosen(bytes, [])
  t.not((tried.seen as SeenTile).gain, 0)
  const spared = await chosen(bytes, undecided(0))
  t.is(spared.best.kind, 'cleric')
  t.is((spared.seen as SeenTile).gain, 0, 'what was expected, as nothing was tried')
  t.deepEqual((await chosen(bytes, undecided(-40))).seen, tried.seen, 'where it may gain enough it is looked for')
})
