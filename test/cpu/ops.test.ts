/**
 * Every floating point op on every instruction set against the interpreter, on sizes that fit no register: odd
 * images, channels that divide by nothing. Those on integers: integer-ops.test.ts.
 */
import test from 'ava'
import { instructionSets, openCpu } from '../../src/cpu/backend.js'
import {
  type ConvNode,
  type DeformNode,
  type Graph,
  type LiftStepNode,
  type Node,
  nodeInputs,
  type PortData,
  type Tensor,
} from '../../src/network/graph.js'
import { relativeError } from '../network/golden.js'
import { interpreter } from '../network/interpreter.js'
import { Fixture, liftStep, noise, randomInputs } from './random-graph.js'

/** Largest error relative to the largest value; the interpreter works in double precision. */
const TOLERANCE = 3e-6

type Build = (f: Fixture) => { nodes: Node[]; scales?: Map<Tensor, number> }

function check(title: string, build: Build): void {
  test(title, async (t) => {
    const fixture = new Fixture()
    const { nodes, scales } = build(fixture)
    const graph = fixture.graph(nodes)
    const inputs = randomInputs(graph, scales)
    const oracle = await interpreter().compile(graph, fixture)
    const expected = await oracle.run(0, inputs)
    const fused = []
    for (const isa of instructionSets()) {
      const backend = await openCpu({ isa, threads: 2 })
      const executable = await backend.compile(graph, fixture)
      const outputs = await executable.run(0, inputs)
      if (isa.startsWith('avx')) fused.push(outputs)
      for (const [tensor, data] of expected) {
        const error = relativeError(outputs.get(tensor) as PortData, data)
        t.true(error < TOLERANCE, `${isa}: relative error ${error}`)
      }
      t.deepEqual(await executable.run(0, inputs), outputs)
      backend.close()
    }
    for (const outputs of fused) t.deepEqual(outputs, fused[0], 'instruction sets with FMA agree to the bit')
  })
}

/** A convolution of `inputs` channels on a height x width image. */
function conv(
  f: Fixture,
  inputs: readonly number[],
  outputs: number,
  [height, width]: readonly [number, number],
  options: Partial<ConvNode> = {},
): ConvNode {
  const { kernel = 3, stride = 1, shuffle = 1, padding = kernel === 1 ? 0 : 1 } = options
  const channels = inputs.reduce((a, b) => a + b, 0)
  const side = (length: number) => (Math.floor((length + 2 * padding - kernel) / stride) + 1) * shuffle
  const output = f.tensor(outputs, side(height), side(width))
  return {
    op: 'conv',
    inputs: inputs.map((count) => f.tensor(count, height, width)),
    output,
    weight: f.parameter('w', [outputs * shuffle ** 2, channels, kernel, kernel]),
    bias: f.parameter('b', [outputs * shuffle ** 2]),
    kernel,
    stride,
    padding,
    activation: 'none',
    shuffle,
    ...options,
    residual: options.residual === undefined ? null : f.tensor(outputs, output.shape.height, output.shape.width),
  }
}

const someTensor = {} as Tensor
const convs: [string, Parameters<typeof conv> extends [Fixture, ...infer Rest] ? Rest : never][] = [
  ['conv3x3, 3 -> 5 channels', [[3], 5, [5, 7]]],
  ['conv3x3, one pixel', [[4], 4, [1, 1]]],
  ['conv3x3, whole registers', [[16], 48, [3, 19]]],
  ['conv3x3, several inputs', [[5, 16, 3], 33, [6, 13], { activation: 'gelu' }]],
  ['conv3x3, stride 2, odd size', [[7], 9, [9, 11], { stride: 2 }]],
  ['conv3x3, stride 2, even size', [[16], 64, [8, 26], { stride: 2, activation: 'gelu' }]],
  ['conv3x3, shuffle', [[6], 5, [3, 5], { shuffle: 2, activation: 'gelu' }]],
  ['conv3x3, shuffle with residual', [[6], 17, [3, 5], { shuffle: 2, residual: someTensor }]],
  ['conv3x3, many channels', [[48], 200, [2, 17]]],
  ['conv1x1, several inputs', [[40, 9], 80, [3, 15], { kernel: 1, activation: 'gelu' }]],
  ['conv1x1, stride 2', [[10], 12, [5, 6], { kernel: 1, stride: 2 }]],
  ['conv3x3, no padding', [[5], 3, [4, 6], { padding: 0 }]],
]
for (const [title, args] of convs) check(title, (f) => ({ nodes: [conv(f, ...args)] }))

/** Where only pixels follow, a conv3x3 goes another way: its last bits may differ, what is shown may not. */
const forPixels: [string, Parameters<typeof conv> extends [Fixture, ...infer Rest] ? Rest : never][] = [
  ['one tile', [[3], 9, [4, 4]]],
  ['whole registers, GELU', [[16], 48, [8, 20], { activation: 'gelu' }]],
  ['channels that divide by nothing, residual', [[19], 33, [12, 12], { residual: someTensor }]],
  ['several strips and blocks of rows', [[6], 7, [36, 132]]],
  ['several blocks of panels', [[48], 200, [40, 8]]],
  ['a width that its tiles do not divide', [[5], 6, [4, 10]]],
  ['a height that its tiles do not divide, one row of them', [[3], 9, [2, 4]]],
  ['a height that its tiles do not divide, GELU', [[16], 48, [9, 20], { activation: 'gelu' }]],
  ['a height that its tiles do not divide, residual', [[19], 33, [5, 12], { residual: someTensor }]],
  ['a height that its tiles do not divide, many columns', [[6], 7, [37, 132]]],
  ['a height that its tiles do not divide, many channels', [[48], 200, [3, 8]]],
]
for (const [title, args] of forPixels) checkPixels(`conv3x3 for pixels, ${title}`, (f) => conv(f, ...args))

/** A node of which only pixels are shown, on each instruction set: its last bits may differ, what is shown may not. */
function checkPixels(title: string, build: (f: Fixture) => ConvNode | LiftStepNode): void {
  test(title, async (t) => {
    const fixture = new Fixture()
    const node = build(fixture)
    const graph = fixture.graph([node])
    const [stage] = graph.stages as [Graph['stages'][0]]
    const outputs = stage.outputs.map(({ tensor }) => ({ tensor, format: 'rgb8' as const }))
    const shown = { ...graph, stages: [{ ...stage, outputs }] }
    // Sums of some tenths, whatever the number of channels.
    const read = nodeInputs(node)
    const channels = node.op === 'conv' ? read.reduce((sum, { shape }) => sum + shape.channels, 0) : 16
    const inputs = randomInputs(graph, new Map(read.map((tensor) => [tensor, 1 / Math.sqrt(channels)])))
    const expected = (await (await interpreter().compile(shown, fixture)).run(0, inputs)).get(node.output) as Uint8Array
    t.true(new Set(expected).size > 10)
    for (const isa of instructionSets()) {
      using backend = await openCpu({ isa, threads: 2 })
      const pixels = (await (await backend.compile(shown, fixture)).run(0, inputs)).get(node.output) as Uint8Array
      const differences = expected.map((value, i) => Math.abs(value - (pixels[i] as number)))
      // A sum that is nearly between two values may be rounded either way.
      t.true(Math.max(...differences) <= 1, isa)
      t.true(differences.filter((difference) => difference > 0).length <= 1 + expected.length / 1000, isa)
    }
  })
}

function deform(
  f: Fixture,
  inputs: number,
  outputs: number,
  [height, width]: [number, number],
  options: Partial<DeformNode>,
) {
  const { stride = 1, shuffle = 1 } = options
  const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)]
  const offsets = f.tensor(27, rows, columns)
  const node: DeformNode = {
    op: 'deform',
    input: f.tensor(inputs, height, width),
    offsets,
    output: f.tensor(outputs, rows * shuffle, columns * shuffle),
    weight: f.parameter('w', [outputs * shuffle ** 2, inputs, 3, 3]),
    bias: f.parameter('b', [outputs * shuffle ** 2]),
    stride,
    activation: 'none',
    shuffle,
    ...options,
  }
  return node
}

for (const scale of [0, 0.9, 4, 60]) {
  check(`deform, offsets up to ${scale}`, (f) => {
    const node = deform(f, 9, 5, [5, 7], {})
    return { nodes: [node], scales: new Map([[node.offsets, scale]]) }
  })
}
check('deform, stride 2', (f) => ({ nodes: [deform(f, 16, 18, [7, 9], { stride: 2, activation: 'gelu' })] }))
check('deform, shuffle', (f) => ({ nodes: [deform(f, 20, 6, [3, 40], { shuffle: 2, activation: 'gelu' })] }))

for (const inverse of [false, true]) {
  for (const channels of [6, 48]) {
    check(`${inverse ? 'inverse ' : ''}GDN, ${channels} channels`, (f) => ({
      nodes: [
        {
          op: 'gdn',
          input: f.tensor(channels, 3, 5),
          output: f.tensor(channels, 3, 5),
          beta: f.values(
            'beta',
            [channels],
            noise(channels, 0.5, 3).map((v) => 1 + v),
          ),
          gamma: f.parameter('gamma', [channels, channels]),
          inverse,
          residual: inverse ? null : f.tensor(channels, 3, 5),
        },
      ],
    }))
  }
}

/** Heights and widths by the number of hidden channels: any, and of whole tiles. */
const LIFTED: Readonly<Record<3 | 8 | 32, [any: [number, number], tiled: [number, number]]>> = {
  3: [
    [1, 5],
    [4, 8],
  ],
  8: [
    [37, 21],
    [36, 132],
  ],
  32: [
    [7, 50],
    [20, 72],
  ],
}
for (const hidden of [3, 8, 32] as const) {
  for (const axis of ['rows', 'columns'] as const) {
    for (const neighbour of ['next', 'previous'] as const) {
      const [size, tiled] = LIFTED[hidden]
      check(`lifting step along ${axis}, ${neighbour}, ${hidden} hidden`, (f) => ({
        nodes: [liftStep(f, hidden, size, { axis, neighbour })],
      }))
      checkPixels(`lifting step for pixels along ${axis}, ${neighbour}, ${hidden} hidden`, (f) =>
        liftStep(f, hidden, tiled, { axis, neighbour }),
      )
    }
  }
}
const ends = { source: 3.7, first: 0.6, last: 0.5 }
for (const axis of ['rows', 'columns'] as const) {
  for (const neighbour of ['next', 'previous'] as const) {
    for (const size of [
      [1, 5],
      [5, 1],
      [2, 2],
      [19, 21],
    ] as const) {
      check(`lifting step with ends along ${axis}, ${neighbour}, ${size.join(' x ')}`, (f) => ({
        nodes: [liftStep(f, 5, [...size], { axis, neighbour, ends })],
      }))
    }
    for (const size of [
      [4, 4],
      [20, 72],
    ] as const) {
      checkPixels(`lifting step with ends for pixels along ${axis}, ${neighbour}, ${size.join(' x ')}`, (f) =>
        liftStep(f, 5, [...size], { axis, neighbour, ends }),
      )
    }
  }
}
checkPixels('lifting step for pixels, a height that its tiles do not divide', (f) =>
  liftStep(f, 8, [18, 20], { axis: 'rows', neighbour: 'next' }),
)

for (const axis of ['rows', 'columns'] as const) {
  check(`split, scale and merge along ${axis}`, (f) => {
    const input = f.tensor(3, 6, 10)
    const [even, odd, scaled] = [0, 1, 2].map(() => f.tensor(3, axis === 'rows' ? 3 : 6, axis === 'rows' ? 10 : 5)) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    const merged = f.tensor(3, 6, 10)
    // A convolution of the planar result: the layout changes on the way.
    const after = { ...conv(f, [3], 4, [6, 10]), inputs: [merged] }
    return {
      nodes: [
        { op: 'liftSplit', input, even, odd, axis },
        { op: 'scale', input: odd, output: scaled, factor: -3 },
        { op: 'liftMerge', even: scaled, odd: even, output: merged, axis },
        { op: 'pool', input: merged, output: f.tensor(3, 3, 5) },
        { op: 'slice', input: merged, first: 1, output: f.tensor(2, 6, 10) },
        after,
      ],
    }
  })
}

check('slices at any channel, and concatenation', (f) => {
  const input = f.tensor(37, 3, 5)
  const [a, b] = [f.tensor(21, 3, 5), f.tensor(3, 3, 5)]
  return {
    nodes: [
      { op: 'slice', input, first: 5, output: a },
      { op: 'slice', input, first: 34, output: b },
      { op: 'concat', inputs: [b, a, b], output: f.tensor(27, 3, 5) },
    ],
  }
})

for (const channels of [4, 19]) {
  const three = (f: Fixture) => [0, 1, 2].map(() => f.tensor(channels, 3, 5)) as [Tensor, Tensor, Tensor]
  check(`pointwise nodes, ${channels} channels`, (f) => {
    const [a, b] = three(f)
    const factors = f.tensor(channels, 1, 1)
    const params = f.tensor(2 * channels, 3, 5)
    const output = () => f.tensor(channels, 3, 5)
    const indexes = output()
    const table = f.integerValues(
      'thresholds',
      [64],
      Int32Array.from({ length: 64 }, (_, i) => 40 * i),
    )
    const deadZones = f.values(
      'zones',
      [64],
      Float32Array.from({ length: 64 }, (_, i) => 0.5 + i / 90),
    )
    return {
      nodes: [
        { op: 'add', input: a, addend: b, output: output() },
        { op: 'gain', input: a, factors, output: output() },
        { op: 'scale', input: a, output: output(), factor: 0.3 },
        { op: 'round', input: b, output: output() },
        { op: 'mask', input: a, output: output(), keep: 'anchor' },
        { op: 'mask', input: a, output: output(), keep: 'nonAnchor' },
        { op: 'scaleIndex', params, table, output: indexes, keep: 'anchor' },
        { op: 'quantise', latent: b, first: 0, params, indexes, deadZones, output: output(), keep: 'anchor' },
      ],
      scales: new Map([
        [b, 5],
        [params, 2500],
      ]),
    }
  })
  check(`pooling, ${channels} channels`, (f) => ({
    nodes: [{ op: 'pool', input: f.tensor(channels, 6, 10), output: f.tensor(channels, 3, 5) }],
  }))
}
