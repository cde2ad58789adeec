import type { ConcatNode, SliceNode, Tensor } from '../../network/graph.js'
import { checkShape, type Dispatch, type KernelContext, texelGrid } from '../dispatch.js'

/** Shapes: input C x H x W, output c x H x W with first + c <= C. */
export function slice(node: SliceNode): Dispatch[] {
  const { input, output, first } = node
  const { channels, height, width } = output.shape
  checkShape(input, Math.max(input.shape.channels, first + channels), height, width)
  return [
    {
      shader: 'slice',
      constants: {},
      reads: { source: input },
      writes: { output },
      params: { width, height, first, channels },
      invocations: texelGrid(output),
      cost: 16 * channels * height * width,
    },
  ]
}

/** Shapes: inputs C_i x H x W, output sum C_i x H x W. More than four inputs go through scratch tensors. */
export function concat(node: ConcatNode, context: KernelContext): Dispatch[] {
  const { inputs, output } = node
  const { height, width } = output.shape
  for (const input of inputs) checkShape(input, input.shape.channels, height, width)
  checkShape(output, total(inputs), height, width)
  const dispatches: Dispatch[] = []
  let parts = inputs
  while (parts.length > 4) {
    const head = parts.slice(0, 4)
    const joined = context.scratch(`${output.name} part`, { channels: total(head), height, width })
    dispatches.push(join(head, joined))
    parts = [joined, ...parts.slice(4)]
  }
  return [...dispatches, join(parts, output)]
}

function total(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + shape.channels, 0)
}

function join(parts: readonly Tensor[], output: Tensor): Dispatch {
  const { channels, height, width } = output.shape
  const end = (count: number) => total(parts.slice(0, count))
  return {
    shader: 'concat',
    constants: {},
    reads: {
      part0: parts[0] ?? null,
      part1: parts[1] ?? null,
      part2: parts[2] ?? null,
      part3: parts[3] ?? null,
    },
    writes: { output },
    params: { width, height, end0: end(1), end1: end(2), end2: end(3), end3: end(4) },
    invocations: texelGrid(output),
    cost: 64 * channels * height * width,
  }
}
