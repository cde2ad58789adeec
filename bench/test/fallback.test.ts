/** Whether tiles are stored no worse than they must be: on drawn pictures, with the nano model. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { openCodec } from 'cleric'
import { benchFallback } from '../src/fallback.js'
import { drawNotTissue } from '../src/not-tissue.js'

const model = fileURLToPath(new URL('../../test/fixtures/nano.safetensors', import.meta.url))

test('the drawn set is the same every time, and its pictures differ', async (t) => {
  const [first, second] = [await drawNotTissue(64), await drawNotTissue(64)]
  t.deepEqual(second, first)
  t.true(first.length >= 12)
  t.is(new Set(first.map(({ name }) => name)).size, first.length)
  t.is(new Set(first.map(({ image }) => Buffer.from(image.data).toString('base64'))).size, first.length)
  for (const { image } of first) t.deepEqual([image.width, image.height, image.data.length], [64, 64, 64 * 64 * 3])
})

test('no picture is stored more than 5 % worse than the best of the network, AVIF, WebP and JPEG', async (t) => {
  t.timeout(240_000)
  using codec = await openCodec({ model, device: 'cpu' })
  const chosen = ['text', 'pen', 'gradient', 'grid', 'noise']
  const pictures = (await drawNotTissue(96)).filter(({ name }) => chosen.includes(name))
  const done: number[] = []
  const report = await benchFallback({
    ...{ codec, pictures, qualities: [10, 80], isCompared: true, signal: new AbortController().signal },
    onProgress: (count, total) => done.push(count / total),
  })
  t.is(report.rows.length, 2 * pictures.length)
  t.is(done.at(-1), 1)
  for (const { name, quality, network, stored, classic, codec: kind } of report.rows) {
    t.is(typeof classic, 'number')
    const most = 1.05 * Math.min(network, classic as number)
    t.true(stored <= most, `${name} at ${quality}: ${stored} by ${kind}, of ${network} and ${classic}`)
  }
  t.true(report.worst <= 0.05)
  // The nano model is worse than AVIF at nearly everything.
  for (const { share } of report.saved) t.true(share > 0.1, String(share))
})
