/** A level of the lifting on the processor, and what noise in its subbands becomes at the ends of a row of samples. */
import test from 'ava'
import { presets } from '../../bench/src/speed/presets.js'
import { instructionSets, openCpu } from '../../src/cpu/backend.js'
import { GraphBuilder } from '../../src/network/builder.js'
import type { PortData, Tensor } from '../../src/network/graph.js'
import { inverseLifting } from '../../src/network/transforms.js'
import { checkLevel, silent } from './check-level.js'
import { interpreter } from './interpreter.js'

test('the oracle inverts a level, with and without ends', (t) => checkLevel(t, interpreter()))

for (const isa of instructionSets()) {
  test(`${isa} inverts a level, with and without ends`, async (t) => {
    using backend = await openCpu({ isa, threads: 2 })
    await checkLevel(t, backend)
  })
}

/**
 * The noise of each row of an image in dB of the mean of an even and an odd row in its middle, where all subbands have
 * white noise. A channel for each row of the low and of the high bands shows what comes of an impulse there; columns do
 * the same to all rows, so one of them is enough.
 */
async function noiseOfRows(ends: boolean, rows: number): Promise<number[]> {
  const config = { ...presets.nano, ends }
  const g = new GraphBuilder(silent)
  const shape = { channels: 2 * rows, height: rows, width: 1 }
  const names = ['ll', 'lh', 'hl', 'hh'] as const
  const [ll, lh, hl, hh] = names.map((name) => g.input(name, shape, 'float')) as [Tensor, Tensor, Tensor, Tensor]
  const image = inverseLifting(g, config, { ll, lh, hl, hh })
  g.endStage('inverse', [{ tensor: image, format: 'float' }])
  const inputs = new Map<Tensor, PortData>(
    [ll, lh, hl, hh].map((tensor) => [tensor, new Float32Array(2 * rows * rows)]),
  )
  for (let i = 0; i < rows; i++) {
    // Row i of the low rows in channel i, of the high rows in channel rows + i.
    for (const [tensor, channel] of [
      [ll, i],
      [hl, rows + i],
    ] as const) {
      const impulses = inputs.get(tensor) as Float32Array
      impulses[channel * rows + i] = 1
    }
  }
  const executable = await interpreter().compile(g.finish(), silent)
  const values = (await executable.run(0, inputs)).get(image) as Float32Array
  const power = Array.from({ length: 2 * rows }, (_, y) => {
    let sum = 0
    for (let c = 0; c < 2 * rows; c++) sum += (values[(c * 2 * rows + y) * 2] as number) ** 2
    return sum
  })
  const inside = ((power[rows] as number) + (power[rows + 1] as number)) / 2
  return power.map((v) => 10 * Math.log10(v / inside))
}

test('noise in the subbands is no stronger in the first row, and hardly in the last, where the steps have ends', async (t) => {
  for (const [ends, first, last] of [
    [false, 0.7, 1.7],
    [true, 0, 0.3],
  ] as const) {
    const rows = await noiseOfRows(ends, 16)
    t.log(rows.map((v) => v.toFixed(2)).join(' '))
    t.true(Math.abs((rows[0] as number) - first) < 0.1, `first row: ${rows[0]} dB`)
    t.true(Math.abs((rows.at(-1) as number) - last) < 0.1, `last row: ${rows.at(-1)} dB`)
  }
})
