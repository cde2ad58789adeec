import type { Axis, LiftMergeNode, LiftSplitNode, LiftStepNode, Tensor } from '../../network/graph.js'
import { type Dispatch, groupSize, groupsOf, type KernelContext, type Kernels, texelGrid } from '../dispatch.js'

/** Positions that an invocation of lift_hidden makes. */
const HIDDEN_TILE = 4

/** Shapes: input C x H x W, halves C x H / 2 x W or C x H x W / 2. */
function liftSplit({ input, even, odd, axis }: LiftSplitNode): Dispatch[] {
  return [{ shader: 'lift_split', reads: { source: input }, writes: { even, odd }, ...halves(even, axis) }]
}

/** Shapes: halves C x H / 2 x W or C x H x W / 2, output C x H x W. */
function liftMerge({ even, odd, output, axis }: LiftMergeNode): Dispatch[] {
  return [{ shader: 'lift_merge', reads: { even, odd }, writes: { output }, ...halves(even, axis) }]
}

/** What splitting and merging share: an invocation for each texel of a half. */
function halves(half: Tensor, axis: Axis) {
  const { height, width } = half.shape
  return {
    constants: {},
    params: { width, height, columns: axis === 'columns' ? 1 : 0 },
    invocations: texelGrid(half),
    cost: 16 * width * height,
  }
}

/**
 * One lifting step in three dispatches: the wavelet's part f, the net's first
 * layer, the rest. Hidden activations lie with a layer a channel and the
 * colours in a texel, so that a weight multiplies all colours at once.
 * Shapes: source, target and output C x H x W, C up to 4.
 */
function liftStep(node: LiftStepNode, context: KernelContext): Dispatch[] {
  const { source, target, output, net } = node
  const { channels: colours, height, width } = source.shape
  if (colours > 4) throw new RangeError(`Expected at most 4 channels for ${source.name} but received ${colours}`)
  const valuesOf = (name: string) => context.parameters.get(`${net}.${name}`).data
  const [weight1, bias1] = [valuesOf('conv1.weight'), valuesOf('conv1.bias')]
  const [weight2, bias2] = [valuesOf('conv2.weight'), valuesOf('conv2.bias')]
  const [weight3, bias3] = [valuesOf('conv3.weight'), valuesOf('conv3.bias')]
  const c = bias1.length
  const padded = 8 * Math.ceil(c / 8)
  const columns = node.axis === 'columns'
  const layout = columns ? 'transposed' : 'upright'
  const tap = (k: number) => (columns ? 3 * (k % 3) + Math.floor(k / 3) : k)

  const f = context.scratch(`${output.name} f`, source.shape)
  const hidden = context.scratch(`${output.name} hidden`, { channels: 4 * padded, height, width })
  const size = { width, height }
  const predict: Dispatch = {
    shader: 'lift_predict',
    constants: {},
    reads: { source },
    writes: { output: f },
    params: {
      ...size,
      columns: columns ? 1 : 0,
      neighbour: node.neighbour === 'next' ? 1 : -1,
      factor: node.factor,
    },
    invocations: texelGrid(f),
    cost: 16 * width * height,
  }
  const first: Dispatch = {
    shader: 'lift_hidden',
    constants: { TX: HIDDEN_TILE },
    reads: {
      source: f,
      weights: {
        key: `${net}|hidden ${layout}`,
        width: 10,
        height: padded / 4,
        layers: 1,
        build: () => {
          const taps = Float32Array.from({ length: 9 * padded }, (_, i) => {
            const o = Math.floor(i / 9)
            return o < c ? (weight1[9 * o + tap(i % 9)] ?? 0) : 0
          })
          const biases = new Float32Array(padded)
          biases.set(bias1)
          return packTaps(taps, biases, 9)
        },
      },
    },
    writes: { output: hidden },
    params: size,
    invocations: [Math.ceil(width / HIDDEN_TILE), height, padded / 4],
    cost: 4 * 16 * padded * width * height,
  }
  const tile = context.software ? { TX: 4, TY: 2 } : { TX: 2, TY: 1 }
  const rest: Dispatch = {
    shader: 'lift_update',
    constants: { ...tile, GROUP: groupSize(context.software) },
    reads: {
      source: f,
      hidden,
      weights: {
        key: `${net}|update ${layout}`,
        width: 18,
        height: padded,
        layers: padded / 8,
        build: () => {
          const packed = new Float32Array(padded * padded * 9)
          for (let o = 0; o < c; o++) {
            for (let i = 0; i < c; i++) {
              const row = ((o >> 3) * padded + i) * 72
              for (let k = 0; k < 9; k++) packed[row + 8 * k + (o & 7)] = weight2[(o * c + i) * 9 + tap(k)] ?? 0
            }
          }
          return packed
        },
      },
      last: {
        key: `${net}|last`,
        width: 5,
        height: padded / 8,
        layers: 1,
        build: () => {
          const packed = new Float32Array((padded / 8) * 20)
          for (let o = 0; o < c; o++) {
            packed[(o >> 3) * 20 + (o & 7)] = bias2[o] ?? 0
            packed[(o >> 3) * 20 + 8 + (o & 7)] = weight3[o] ?? 0
          }
          packed[16] = bias3[0] ?? 0
          return packed
        },
      },
      base: target,
    },
    writes: { output },
    params: { ...size, hidden: padded, colours, sign: node.sign },
    invocations: [Math.ceil(width / tile.TX) * Math.ceil(height / tile.TY), 1, 1],
    cost: 9 * padded * padded * 4 * width * height,
  }
  return [predict, first, rest]
}

/** Rows of a weights texture: the taps of a group of 4 filters, then their biases. */
function packTaps(weight: Float32Array, bias: Float32Array, taps: number): Float32Array<ArrayBuffer> {
  const channels = bias.length
  const packed = new Float32Array(groupsOf(channels) * (taps + 1) * 4)
  for (let c = 0; c < channels; c++) {
    const row = (c >> 2) * (taps + 1) * 4 + (c & 3)
    for (let k = 0; k < taps; k++) packed[row + 4 * k] = weight[c * taps + k] ?? 0
    packed[row + 4 * taps] = bias[c] ?? 0
  }
  return packed
}

export const liftingKernels: Kernels<'liftSplit' | 'liftMerge' | 'liftStep'> = { liftSplit, liftMerge, liftStep }
