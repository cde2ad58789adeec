/**
 * Speed of the WGSL kernels on an adapter: `npx tsx bench/kernels/webgpu.ts [--adapter NAME] [--repeat N]`.
 *
 * GFLOP/s counts two operations a multiply-add of the op's definition (a DCNv2's
 * main product, a lifting step's convolutions).
 * The last figure is by processor time over all cores, which other processes
 * disturb less: what a software adapter would reach on a machine of its own.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { openWebGpu, type Tensor } from 'cleric/internal'
import { convolution, type Kernel, timeKernel } from '../src/speed/kernel.js'

const { values: options } = parseArgs({
  options: {
    adapter: { type: 'string' },
    repeat: { type: 'string', default: '9' },
    only: { type: 'string', default: '' },
  },
})

/** With a table for its activation; weights of 9 bits. */
function integerConv(label: string, from: number, to: number, size: number, kernel: 1 | 3 | 5, table = true): Kernel {
  return {
    name: label,
    inputs: [{ channels: from, height: size, width: size }],
    output: { channels: to, height: size, width: size },
    node: (inputs, output) => ({
      op: 'integerConv',
      inputs,
      output,
      weight: 'weight',
      bias: 'bias',
      shift: 'shift',
      table: table ? 'table' : null,
      kernel,
      stride: 1,
      padding: (kernel >> 1) as 0 | 1 | 2,
      shuffle: 1,
      range: 'activation',
      residual: null,
      keep: null,
    }),
    parameters: { weight: [to, from, kernel, kernel], bias: [to], shift: [to], table: [4096] },
  }
}

function deform(label: string, from: number, to: number, size: number, stride: 1 | 2): Kernel {
  const out = size / stride
  return {
    name: label,
    inputs: [
      { channels: from, height: size, width: size },
      { channels: 27, height: out, width: out },
    ],
    output: { channels: to, height: out, width: out },
    node: ([input, offsets], output) => ({
      op: 'deform',
      input: input as Tensor,
      offsets: offsets as Tensor,
      output,
      weight: 'weight',
      bias: 'bias',
      stride,
      activation: 'gelu',
      shuffle: 1,
    }),
    parameters: { weight: [to, from, 3, 3], bias: [to] },
  }
}

function lifting(label: string, c: number, height: number, width: number): Kernel {
  const shape = { channels: 3, height, width }
  return {
    name: label,
    inputs: [shape, shape],
    output: shape,
    node: ([source, target], output) => ({
      op: 'liftStep',
      source: source as Tensor,
      target: target as Tensor,
      output,
      axis: 'rows',
      factor: 0.5,
      neighbour: 'next',
      sign: 1,
      net: 'net',
    }),
    parameters: {
      'net.conv1.weight': [c, 1, 3, 3],
      'net.conv1.bias': [c],
      'net.conv2.weight': [c, c, 3, 3],
      'net.conv2.bias': [c],
      'net.conv3.weight': [1, c, 1, 1],
      'net.conv3.bias': [1],
    },
  }
}

function gdn(label: string, channels: number, size: number): Kernel {
  const shape = { channels, height: size, width: size }
  return {
    name: label,
    inputs: [shape],
    output: shape,
    node: ([input], output) => ({
      op: 'gdn',
      input: input as Tensor,
      output,
      beta: 'beta',
      gamma: 'gamma',
      inverse: false,
      residual: null,
    }),
    parameters: { beta: [channels], gamma: [channels, channels] },
  }
}

const kernels: Kernel[] = [
  convolution('conv3x3 N=48 128x128', 48, 48, 128, 3, 1),
  convolution('conv3x3 N=96 128x128', 96, 96, 128, 3, 1),
  convolution('conv3x3 N=192 128x128', 192, 192, 128, 3, 1),
  convolution('conv3x3 N=256 16x16', 256, 256, 16, 3, 1),
  convolution('conv1x1 N=48 128x128', 48, 48, 128, 1, 1),
  convolution('conv1x1 N=192 128x128', 192, 192, 128, 1, 1),
  convolution('conv1x1 640 to 128 16x16', 640, 128, 16, 1, 1),
  convolution('conv3x3 stride 2 N=48 256x256', 48, 48, 256, 3, 2),
  integerConv('integer conv3x3 N=48 128x128', 48, 48, 128, 3),
  integerConv('integer conv3x3 N=256 16x16', 256, 256, 16, 3),
  integerConv('integer conv1x1 640 to 128 16x16', 640, 128, 16, 1),
  integerConv('integer conv1x1 640 to 128 64x64', 640, 128, 64, 1),
  convolution('conv1x1 640 to 128 64x64', 640, 128, 64, 1, 1),
  integerConv('integer conv5x5 64 to 128 16x16', 64, 128, 16, 5, false),
  convolution('conv3x3 shuffle N=48 64x64', 48, 48, 64, 3, 1, 2),
  deform('DCNv2 N=48 128x128', 48, 48, 128, 1),
  deform('DCNv2 stride 2 N=48 256x256', 48, 48, 256, 2),
  gdn('GDN N=48 128x128', 48, 128),
  lifting('lifting step c=8 256x128', 8, 128, 256),
]

const backend = await openWebGpu(options.adapter === undefined ? {} : { adapter: options.adapter })
console.log(`${backend.name}; GFLOP/s of the fastest and the median of ${options.repeat} runs`)

for (const kernel of kernels.filter(({ name }) => name.includes(options.only))) {
  const { multiplyAdds, best, median, busyMedian, first } = await timeKernel(
    backend,
    kernel,
    Number(options.repeat),
    availableParallelism(),
  )
  const speed = (ms: number) => ((2 * multiplyAdds) / ms / 1e6).toFixed(1)
  console.log(
    `${kernel.name.padEnd(32)} ${speed(best).padStart(6)} ${speed(median).padStart(6)}   median ${median.toFixed(2)} ms, first run ${first.toFixed(0)} ms, by processor time ${speed(busyMedian)}`,
  )
}
backend.close()
