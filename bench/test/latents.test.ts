/** `cleric bench latents`: the linear model, what it sees, and the command on drawn images. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { Image } from 'cleric'
import { createCli } from '../../src/cli/commands.js'
import { cellFeatures, ofColour, ofLatents, ofPixels, placeFeatures } from '../src/latents/features.js'
import type { LatentReport } from '../src/latents/latents.js'
import { predict, Ridge } from '../src/latents/ridge.js'

test('ridge regression finds a linear rule, and shrinks it as the penalty grows', (t) => {
  const ridge = new Ridge(3)
  const of = (i: number) => [Math.sin(i), 100 + 10 * Math.cos(1.7 * i), 5]
  const rule = ([a = 0, b = 0]: readonly number[]) => 2 * a - 0.3 * b + 7
  for (let i = 0; i < 500; i++) ridge.add(of(i), rule(of(i)))
  const exact = ridge.fit(1e-12)
  t.true(Math.abs(predict(exact, of(1000)) - rule(of(1000))) < 1e-6)
  // A feature that never changes has no weight.
  t.is(exact.weights[2], 0)
  const shrunk = ridge.fit(1)
  t.true(Math.abs((shrunk.weights[0] as number) - 1) < 0.05)
  t.throws(() => new Ridge(3).fit(1), { instanceOf: RangeError, message: /^Expected samples/ })
})

test('features are the values of a place and their magnitudes, and of a cell their means', (t) => {
  const [channels, width, height] = [2, 4, 4]
  const data = Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? i : -1))
  const places = ofLatents({ data, channels, width, height, stored: new Uint8Array(16).fill(1) })
  t.deepEqual([...placeFeatures(places, 5)], [5, -1, 5, 1])
  t.deepEqual([...cellFeatures(places, 0, 0)], [7.5, -1, 7.5, 1])
  // The DCT of one colour has three coefficients other than zero, the lowest ones: 16 times the colour.
  const image: Image = { data: new Uint8Array(32 * 16 * 3).fill(9), width: 32, height: 16, channels: 3 }
  const { columns, rows, values } = ofPixels(image, 12)
  t.deepEqual([columns, rows], [2, 1])
  t.deepEqual(
    Array.from(values.subarray(0, 12), (v) => Math.round(v * 1e6) / 1e6 + 0),
    [144, 144, 144, ...Array(9).fill(0)],
  )
  t.deepEqual(Array.from(ofColour(image).values, Math.round), Array(6).fill(144))
})

test('the command learns from drawn images, and says how well and how fast', async (t) => {
  let [stdout, stderr] = ['', '']
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  }
  const model = fileURLToPath(new URL('../../test/fixtures/nano.safetensors', import.meta.url))
  const none = join('no', 'such', 'folder')
  const argv = ['--drawn', '10', '--side', '128', '--model', model, '--device', 'cpu', '--train', none, '--data', none]
  t.is(await createCli(io).run(['bench', 'latents', ...argv, '--json']), 0, stderr)
  const report: LatentReport = JSON.parse(stdout)
  t.like(report, { train: 10, test: [{ name: 'drawn', images: 5 }] })
  t.deepEqual(
    report.rows.map(({ on, from, features }) => [on, from, features]),
    [
      ['drawn', 'latents', 64],
      ['drawn', 'pixels', 64],
      ['drawn', 'mean colour', 6],
    ],
  )
  t.true((report.rows[0] as LatentReport['rows'][0]).tissue.accuracy > 0.8, JSON.stringify(report.rows))
  t.true(report.speed.latents > 0 && report.speed.pixels > 0)
})
