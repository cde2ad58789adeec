/**
 * A level of the lifting on a backend, with and without weights of its own at the ends: what it makes of a constant, the
 * oracle's subbands, and that the inverse gives back what went in. A backend's test calls this.
 */
import type { ExecutionContext } from 'ava'
import { presets } from '../../bench/src/speed/presets.js'
import { randomParameters } from '../../bench/src/speed/random-model.js'
import { GraphBuilder } from '../../src/network/builder.js'
import type { Backend, Parameters, PortData, Tensor } from '../../src/network/graph.js'
import { inverseLifting, lifting } from '../../src/network/transforms.js'
import { noise } from '../cpu/random-graph.js'
import { relativeError } from './golden.js'
import { interpreter } from './interpreter.js'

/** Largest error relative to the largest value; the interpreter works in double precision. */
const TOLERANCE = 3e-6

/** As many rows and columns of a subband as the quick way for pixels needs. */
const [HEIGHT, WIDTH] = [24, 40]

const random = randomParameters(presets.nano)
/** The same nets on both sides, so that one undoes what the other does. */
const nets: Parameters = {
  get: (name) => random.get(name.replace('g_s', 'g_a')),
  integers: (name) => random.integers(name),
}
/** Nets that add nothing: the wavelet alone. */
export const silent: Parameters = {
  get(name) {
    const { shape, data } = random.get(name)
    return { shape, data: new Float32Array(data.length) }
  },
  integers: (name) => random.integers(name),
}

/** A level of an image: its subbands and what the inverse makes of them, each if it is asked for. */
function level(ends: boolean, parameters: Parameters, asked: 'subbands' | 'float' | 'rgb8') {
  const config = { ...presets.nano, ends }
  const g = new GraphBuilder(parameters)
  const image = g.input('x', { channels: 3, height: HEIGHT, width: WIDTH }, 'rgb8')
  const bands = lifting(g, config, image)
  const { ll, lh, hl, hh } = bands
  const outputs = asked === 'subbands' ? [ll, lh, hl, hh] : [inverseLifting(g, config, bands)]
  g.endStage(
    'level',
    outputs.map((tensor) => ({ tensor, format: asked === 'rgb8' ? 'rgb8' : 'float' })),
  )
  return { graph: g.finish(), parameters, image, outputs }
}

async function run(backend: Backend, { graph, parameters, image, outputs }: ReturnType<typeof level>, x: Uint8Array) {
  const executable = await backend.compile(graph, parameters)
  const found = await executable.run(0, new Map<Tensor, PortData>([[image, x]]))
  executable.close()
  return outputs.map((tensor) => found.get(tensor) as PortData)
}

const texture = Uint8Array.from(noise(3 * HEIGHT * WIDTH, 1, 5), (v) => 128 + 127 * v)
const grey = new Uint8Array(3 * HEIGHT * WIDTH).fill(200)
const planar = Float32Array.from(texture, (_, i) => {
  const area = HEIGHT * WIDTH
  return (texture[(i % area) * 3 + Math.floor(i / area)] as number) / 255
})
/** The subbands by the oracle, once for all backends. */
const expected = [false, true].map((ends) => run(interpreter(), level(ends, nets, 'subbands'), texture))

export async function checkLevel(t: ExecutionContext, backend: Backend): Promise<void> {
  for (const ends of [false, true]) {
    const message = `${backend.name}, ${ends ? 'with' : 'without'} ends`
    const [ll, ...high] = (await run(backend, level(ends, silent, 'subbands'), grey)) as [PortData, ...PortData[]]
    t.true(
      ll.every((v) => Math.abs(v - 200 / 255) < 1e-5),
      `${message}: the low band of a constant`,
    )
    for (const band of high) {
      t.true(
        band.every((v) => Math.abs(v) < 1e-5),
        `${message}: a high band of a constant`,
      )
    }
    const bands = await run(backend, level(ends, nets, 'subbands'), texture)
    for (const [i, band] of ((await expected[Number(ends)]) as PortData[]).entries()) {
      const error = relativeError(bands[i] as PortData, band)
      t.true(error < TOLERANCE, `${message}: relative error ${error} of subband ${i}`)
    }
    const [back] = (await run(backend, level(ends, nets, 'float'), texture)) as [PortData]
    const error = relativeError(back, planar)
    t.true(error < TOLERANCE, `${message}: relative error ${error} of the way back`)
    const [pixels] = (await run(backend, level(ends, nets, 'rgb8'), texture)) as [PortData]
    t.deepEqual(pixels, texture, `${message}: pixels of the way back`)
  }
}
