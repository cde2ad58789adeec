/** Which way a tile is stored, given what the network makes of it. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { readPayload } from '../../src/codec/bitstream.js'
import type { Candidate, WantedTile } from '../../src/codec/candidate.js'
import { bestLossless, choose, networkCandidate } from '../../src/codec/choice.js'
import { decodeClassic } from '../../src/codec/classic.js'
import { encodeLossy } from '../../src/codec/classic-encoder.js'
import { costOf, lambdaAt } from '../../src/codec/rate.js'
import type { Image } from '../../src/image/image.js'
import { fractal, random } from '../../src/image/noise.js'
import { meanSquaredError } from '../../src/metrics/psnr.js'

const SIDE = 96

function painted(paint: (x: number, y: number) => number): Image {
  const data = new Uint8Array(SIDE * SIDE * 3)
  for (let i = 0; i < data.length; i += 3) {
    const value = paint((i / 3) % SIDE, Math.floor(i / 3 / SIDE))
    data.set([value, value >> 1, 255 - value], i)
  }
  return { data, width: SIDE, height: SIDE, channels: 3 }
}

const texture = painted((x, y) => 60 + 120 * fractal(x / 5, y / 5, 1) + 12 * random(x, y, 2))
const text = painted((x, y) => (random(x >> 2, y >> 2, 3) < 0.3 ? 0 : 255))
const noise = painted((x, y) => 255 * random(x, y, 4))

function wanted(image: Image, changes: Partial<WantedTile> = {}): WantedTile {
  return {
    image,
    shown: image,
    quality: 60,
    promisedMse: 60,
    mostMse: Number.POSITIVE_INFINITY,
    source: null,
    ...changes,
  }
}

/** As if the network took so many bytes, and were off by so much everywhere. */
function network(tile: WantedTile, bytes: number, off: number): Candidate {
  const data = tile.image.data.map((value) => (value < 128 ? value + off : value - off))
  return networkCandidate(tile, { payload: new Uint8Array(bytes), decoded: { ...tile.image, data } })
}

async function bestCandidate(tile: WantedTile, own: Candidate, signal?: AbortSignal): Promise<Candidate> {
  return (await choose(tile, async () => own, { signal })).best
}

async function decoded({ payload }: Candidate): Promise<Image> {
  const { kind, stream } = readPayload(payload)
  return decodeClassic(kind as 'webp', stream, texture)
}

test('lambda is that of training', (t) => {
  const source = readFileSync(new URL('../../training/cleric_training/train/objective.py', import.meta.url), 'utf8')
  const constant = (name: string) => Number(new RegExp(`^${name} = ([\\d.]+)$`, 'm').exec(source)?.[1])
  for (const quality of [0, 12.5, 50, 100]) {
    const expected = constant('LAMBDA_LOW') * constant('LAMBDA_RANGE') ** (quality / 100)
    t.true(Math.abs(lambdaAt(quality) / expected - 1) < 1e-12)
  }
})

test('a tile costs its bits and lambda times the squared error of what is shown', (t) => {
  t.is(costOf(100, 0, { width: 4, height: 4 }, 50), 800)
  t.is(costOf(100, 25, { width: 4, height: 3 }, 0), 800 + 0.004 * 25 * 12)
  const shown = { width: 20, height: 50 }
  const data = texture.data.slice()
  for (let i = 0; i < data.length; i += 3) if ((i / 3) % SIDE >= 20) data[i] = 255 - (data[i] as number)
  t.is(meanSquaredError(texture, { ...texture, data }, shown), 0)
  t.true(meanSquaredError(texture, { ...texture, data }, texture) > 100)
})

test('the network keeps what it does well', async (t) => {
  for (const quality of [0, 60, 100]) {
    const tile = wanted(texture, { quality })
    const own = network(tile, 900, 2)
    t.is(await bestCandidate(tile, own), own)
  }
})

test('what the network does badly is stored another way, with less bits + lambda * error', async (t) => {
  const tile = wanted(texture)
  const poor = network(tile, 4000, 20)
  const best = await bestCandidate(tile, poor)
  t.is(best.kind, 'avif')
  t.true(best.cost < 0.5 * poor.cost)
  const shown = await decoded(best)
  t.is(best.mse, meanSquaredError(texture, shown, texture))
  t.is(best.cost, costOf(best.payload.length, best.mse, texture, 60))
  // Nothing is left to chance.
  t.deepEqual(await bestCandidate(tile, network(tile, 4000, 20)), best)
})

test('what costs more than by the network is not taken, however large its error', async (t) => {
  const tile = wanted(noise, { quality: 0 })
  const own = network(tile, 300, 30)
  t.true(own.mse > tile.promisedMse)
  t.is(await bestCandidate(tile, own), own)
})

test('few colours come back unchanged', async (t) => {
  const tile = wanted(text)
  const best = await bestCandidate(tile, network(tile, 3000, 20))
  t.true(best.kind === 'palette' || best.kind === 'webp')
  t.is(best.mse, 0)
  t.true(best.payload.length < 1000)
  t.is(Buffer.compare((await decoded(best)).data, text.data), 0)
})

test('with a floor no tile is below it; what can not be had otherwise is stored without loss', async (t) => {
  for (const mostMse of [30, 4, 0.5, 0.0001]) {
    const tile = wanted(texture, { mostMse })
    const best = await bestCandidate(tile, network(tile, 300, 8))
    t.true(best.mse <= mostMse, `${best.mse} of ${mostMse}`)
    if (mostMse < 0.01) t.is(best.mse, 0)
    else t.true(best.kind === 'avif' || mostMse < 1, best.kind)
  }
})

test('without loss the smallest form is taken', async (t) => {
  t.is((await bestLossless(wanted(texture))).kind, 'webp')
  for (const image of [texture, text]) {
    const best = await bestLossless(wanted(image))
    t.is(best.mse, 0)
    t.is(Buffer.compare((await decoded(best)).data, image.data), 0)
  }
})

test('pixels of a JPEG are stored as the JPEG that they come from, or smaller', async (t) => {
  const source = await encodeLossy('jpeg', texture, 83, { plain: true })
  const image = await decodeClassic('jpeg', source, texture)
  const tile = wanted(image, { quality: 100 })
  const best = await bestCandidate(tile, network(tile, 20_000, 8))
  t.is(best.kind, 'jpeg')
  t.true(best.payload.length < 1.02 * source.length, `${best.payload.length} of ${source.length}`)
  t.true(best.mse < 0.5, String(best.mse))
})

test('an abort is heard', async (t) => {
  const tile = wanted(texture)
  const signal = AbortSignal.abort()
  await t.throwsAsync(bestCandidate(tile, network(tile, 4000, 20), signal), { code: 'ERR_ABORTED' })
  await t.throwsAsync(bestLossless(tile, signal), { code: 'ERR_ABORTED' })
})
