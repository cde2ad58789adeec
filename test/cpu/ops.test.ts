/**
 * Every op on every instruction set against the interpreter, on sizes that fit no register: odd images, channels
 * that divide by nothing.
 */
import test from 'ava'
import { instructionSets, openCpu } from '../../src/cpu/backend.js'
import type { ConvNode, DeformNode, Node, PortData, Tensor } from '../../src/network/graph.js'
import { relativeError } from '../network/golden.js'
import { interpreter } from '../network/interpreter.js'
import { Fixture, noise, randomInputs } from './random-graph.js'

/** Largest error relative to the largest value; the interpreter works in double precision. */
const tolerance = 3e-6

type Build = (f: Fixture) => { nodes: Node[]; scales?: Map<Tensor, number> }

function check(title: string, build: Build): void {
  test(title, async (t) => {
    const fixture = new Fixture()
    const { nodes, scales } = build(fixture)
    const graph = fixture.graph(nodes)
    const inputs = randomInputs(graph, scales)
    const oracle = await interpreter().compile(graph, fixture)
    const expected = await oracle.run(0, inputs)
    for (const isa of instructionSets()) {
      const backend = await openCpu({ isa, threads: 2 })
      const executable = await backend.compile(graph, fixture)
      const outputs = await executable.run(0, inputs)
      for (const [tensor, data] of expected) {
        const error = relativeError(outputs.get(tensor) as PortData, data)
        t.true(error < tolerance, `${isa}: relative error ${error}`)
      }
      t.deepEqual(await executable.run(0, inputs), outputs)
      backend.close()
    }
  })
}

/** A convolution of `inputs` channels on a height x width image. */
function conv(
  f: Fixture,
  inputs: readonly number[],
  outputs: number,
  [height, width]: readonly [number, number],
  more: Partial<ConvNode> = {},
): ConvNode {
  const { kernel = 3, stride = 1, shuffle = 1, padding = kernel === 1 ? 0 : kernel === 3 ? 1 : 2 } = more
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
    scale: 1,
    keep: null,
    ...more,
    residual: more.residual === undefined ? null : f.tensor(outputs, output.shape.height, output.shape.width),
  }
}

const someTensor = {} as Tensor
const convs: [string, Parameters<typeof conv> extends [Fixture, ...infer Rest] ? Rest : never][] = [
  ['conv3x3, 3 -> 5 channels', [[3], 5, [5, 7]]],
  ['conv3x3, one pixel', [[4], 4, [1, 1]]],
  ['conv3x3, whole registers', [[16], 48, [3, 19]]],
  ['conv3x3, several inputs', [[5, 16, 3], 33, [6, 13], { activation: 'gelu' }]],
  ['conv3x3, stride 2, odd size', [[7], 9, [9, 11], { stride: 2 }]],
  ['conv3x3, stride 2, even size', [[16], 64, [8, 26], { stride: 2, activation: 'tanh' }]],
  ['conv3x3, shuffle', [[6], 5, [3, 5], { shuffle: 2, activation: 'gelu' }]],
  ['conv3x3, shuffle with residual', [[6], 17, [3, 5], { shuffle: 2, residual: someTensor, scale: 0.5 }]],
  ['conv3x3, many channels', [[48], 200, [2, 17]]],
  ['conv1x1, several inputs', [[40, 9], 80, [3, 15], { kernel: 1, activation: 'gelu' }]],
  ['conv1x1, stride 2', [[10], 12, [5, 6], { kernel: 1, stride: 2 }]],
  ['conv5x5', [[11], 21, [6, 9], { kernel: 5, residual: someTensor }]],
  ['conv5x5, stride 5, no padding', [[6], 10, [15, 20], { kernel: 5, stride: 5, padding: 0 }]],
  ['conv3x3, padding 2', [[5], 3, [4, 4], { padding: 2 }]],
  ['conv3x3, no padding', [[5], 3, [4, 6], { padding: 0 }]],
  ['conv3x3, anchors', [[5], 18, [5, 6], { keep: 'anchor', activation: 'tanh', scale: 0.5, residual: someTensor }]],
  ['conv3x3, non-anchors, no residual', [[5], 18, [5, 6], { keep: 'nonAnchor' }]],
]
for (const [title, args] of convs) check(title, (f) => ({ nodes: [conv(f, ...args)] }))

check('1x1 convolutions of which half is looked at', (f) => {
  const first = conv(f, [9], 24, [5, 9], { kernel: 1, activation: 'gelu' })
  const output = f.tensor(12, 5, 9)
  const table = f.values('scales', [5], Float32Array.of(-0.5, -0.1, 0.1, 0.5, 1))
  const params = first.output
  const latent = f.tensor(30, 5, 9)
  return {
    nodes: [
      first,
      { op: 'scaleIndex', params, output, table, keep: 'anchor' },
      { op: 'quantise', latent, first: 13, params, output: f.tensor(12, 5, 9), keep: 'anchor' },
    ],
    scales: new Map([[latent, 40]]),
  }
})

function deform(
  f: Fixture,
  inputs: number,
  outputs: number,
  [height, width]: [number, number],
  more: Partial<DeformNode>,
) {
  const { stride = 1, shuffle = 1 } = more
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
    ...more,
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

for (const hidden of [3, 8, 32]) {
  for (const axis of ['rows', 'columns'] as const) {
    for (const neighbour of ['next', 'previous'] as const) {
      check(`lifting step along ${axis}, ${neighbour}, ${hidden} hidden`, (f) => {
        for (const [layer, outputs, inputs, k] of [
          ['conv1', hidden, 1, 3],
          ['conv2', hidden, hidden, 3],
          ['conv3', 1, hidden, 1],
        ] as const) {
          f.parameter(`n.${layer}.weight`, [outputs, inputs, k, k])
          f.parameter(`n.${layer}.bias`, [outputs])
        }
        const [height, width] = hidden === 3 ? [1, 5] : hidden === 8 ? [37, 21] : [7, 50]
        const [source, target, output] = [0, 1, 2].map(() => f.tensor(3, height, width)) as [Tensor, Tensor, Tensor]
        const sign = neighbour === 'next' ? 1 : -1
        return { nodes: [{ op: 'liftStep', source, target, output, axis, factor: -1.58, neighbour, sign, net: 'n' }] }
      })
    }
  }
}

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
    const table = f.values(
      'scales',
      [64],
      Float32Array.from({ length: 64 }, (_, i) => 0.03 * i - 0.9),
    )
    return {
      nodes: [
        { op: 'add', input: a, addend: b, output: output() },
        { op: 'gain', input: a, factors, output: output() },
        { op: 'scale', input: a, output: output(), factor: 0.3 },
        { op: 'round', input: b, output: output() },
        { op: 'mask', input: a, output: output(), keep: 'anchor' },
        { op: 'mask', input: a, output: output(), keep: 'nonAnchor' },
        { op: 'scaleIndex', params, output: output(), table, keep: 'nonAnchor' },
        { op: 'quantise', latent: b, first: 0, params, output: output(), keep: 'anchor' },
        { op: 'dequantise', symbols: b, params, base: null, output: output(), keep: 'anchor' },
        { op: 'dequantise', symbols: b, params, base: a, output: output(), keep: 'nonAnchor' },
      ],
      scales: new Map([[b, 5]]),
    }
  })
  check(`depthwise, layer norm and pooling, ${channels} channels`, (f) => {
    const input = f.tensor(channels, 6, 10)
    const weight = f.parameter('w', [channels, 1, 3, 3])
    const bias = f.parameter('b', [channels])
    const scale = f.parameter('s', [channels])
    const output = () => f.tensor(channels, 6, 10)
    return {
      nodes: [
        { op: 'depthwise', input, output: output(), weight, bias, activation: 'gelu' },
        { op: 'depthwise', input, output: output(), weight, bias, activation: 'none' },
        { op: 'layerNorm', input, output: output(), weight: scale, bias },
        { op: 'pool', input, output: f.tensor(channels, 3, 5) },
      ],
    }
  })
}

for (const [channels, heads] of [
  [8, 2],
  [10, 1],
  [64, 2],
] as const) {
  check(`window attention, ${channels} channels, ${heads} heads`, (f) => {
    const [height, width] = [5, 6]
    const windows = f.tensor(channels, 5 * height, 5 * width)
    const fused = {
      ...conv(f, [channels], 7, [5 * height, 5 * width], { kernel: 5, stride: 5, padding: 0 }),
      inputs: [windows],
    }
    const bias = f.parameter('bias', [81, heads], 2)
    const output = f.tensor(7, height, width)
    return {
      nodes: [
        { op: 'windowAttention', qkv: f.tensor(3 * channels, height, width), output: windows, bias, heads },
        fused,
        { op: 'mask', input: fused.output, output, keep: 'nonAnchor' },
      ],
    }
  })
}

for (const [channels, heads, split] of [
  [12, 2, false],
  [12, 2, true],
  [33, 1, true],
  [96, 3, false],
] as const) {
  check(`linear attention, ${channels} channels, ${heads} heads${split ? ', split' : ''}`, (f) => {
    const [query, key, value, output] = [0, 1, 2, 3].map(() => f.tensor(channels, 5, 7)) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ]
    return {
      nodes: [{ op: 'linearAttention', query, key, value, output, heads, split }],
      scales: new Map([[key, 6]]),
    }
  })
}
