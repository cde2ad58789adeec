/**
 * Networks unlike the golden one, each one's graph against PyTorch: the ablation switches (paper, Tables 2 and 3), and five
 * slices with the uneven widths of preset `m`.
 */
import test from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { TileCodec } from '../../src/codec/tile-codec.js'
import type { Image } from '../../src/image/image.js'
import { encoderGraph } from '../../src/network/cleric.js'
import type { PortData, Tensor } from '../../src/network/graph.js'
import { fixtureGolden, fixtureModel, relativeError, rgbOf } from './golden.js'
import { Interpreter, interpreter } from './interpreter.js'

/** The interpreter works in double precision, PyTorch in single. */
const TOLERANCE = 2e-5

for (const variant of ['no-ls', 'no-drb', 'no-r2b', 'ends', 'm']) {
  test(`${variant}: y and the decoded pixels are PyTorch's`, async (t) => {
    const model = await fixtureModel(`tiny-${variant}`)
    const golden = fixtureGolden(`tiny-${variant}`)
    const [, height = 0, width = 0] = golden.get('x').shape
    const image: Image = { data: rgbOf(golden.get('x').data, height, width), width, height, channels: 3 }

    const plan = encoderGraph(model.config, model.parameters, height, width)
    const run = new Interpreter(plan.graph, model.parameters)
    const gain = gainsAt(model, golden.quality)?.forward as Float32Array
    await run.run(
      0,
      new Map<Tensor, PortData>([
        [plan.image, image.data],
        [plan.gain as Tensor, gain],
      ]),
    )
    const y = plan.graph.tensors.findLast(({ name }) => name === 'y') as Tensor
    const error = relativeError(run.value(y), golden.get('y').data)
    t.true(error < TOLERANCE, `y: relative error ${error}`)

    const codec = new TileCodec(model, interpreter())
    const decoded = await codec.decode(await codec.encode(image, golden.quality), image, golden.quality)
    const expected = rgbOf(golden.get('x_hat').data, height, width)
    const worst = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - (decoded.data[i] as number))), 0)
    t.true(worst <= 1, `pixels differ by ${worst} of 255`)
  })
}
