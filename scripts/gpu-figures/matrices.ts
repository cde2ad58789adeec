/**
 * How fast matrix units multiply where Dawn offers them: products of the sizes of the network's convolutions, each a
 * matrix of positions x inputs by one of inputs x outputs, read from storage buffers. What the kernels of shaders/ reach
 * on such layers is told by `bench speed`.
 */

import { pickAdapter } from '../../src/webgpu/adapters.js'
import { GPUBufferUsage, GPUMapMode } from '../../src/webgpu/constants.js'
import { MATRIX_FEATURES, type MatrixConfig } from '../../src/webgpu/subgroups.js'

interface Sizes {
  readonly positions: number
  readonly inputs: number
  readonly outputs: number
}

const PRODUCTS: readonly Sizes[] = [
  { positions: 2 ** 16, inputs: 96, outputs: 96 },
  { positions: 2 ** 16, inputs: 192, outputs: 192 },
  { positions: 2 ** 14, inputs: 9 * 192, outputs: 192 },
]
/** Positions of a subgroup's tile. */
const ROWS = [32, 64]
const COLUMNS = 64
const DISPATCHES = 40

/** Blocks of a tile's width: the most that divide the matrix. */
function blocksOf(total: number, block: number, most: number): number {
  let blocks = Math.max(1, Math.floor(most / block))
  while ((total / block) % blocks !== 0) blocks--
  return blocks
}

/** The kernel of one configuration, a subgroup of `lanes` making `rows` x `columns` blocks. */
function matrixShader(
  { resultComponentType, M, N, K }: MatrixConfig,
  { inputs, outputs }: Sizes,
  rows: number,
  columns: number,
  lanes: number,
): string {
  const result = resultComponentType
  const each = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))
  const blocks = each(rows, (r) => each(columns, (c) => [r, c] as const)).flat()
  const text = (lines: readonly string[]) => lines.join('\n')
  return `enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
@group(0) @binding(0) var<storage, read> a: array<f16>;
@group(0) @binding(1) var<storage, read> b: array<f16>;
@group(0) @binding(2) var<storage, read_write> c: array<${result}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) id: vec3u) {
  let row = id.x * ${rows * M};
  let column = id.y * ${columns * N};
${text(blocks.map(([r, k]) => `  var s${r}_${k}: subgroup_matrix_result<${result}, ${N}, ${M}>;`))}
  for (var k = 0u; k < ${inputs}; k += ${K}) {
${text(each(rows, (r) => `    let a${r} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${K}, ${M}>, row_major>(&a, (row + ${r * M}) * ${inputs} + k, ${inputs});`))}
${text(each(columns, (k) => `    let b${k} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${K}>, row_major>(&b, k * ${outputs} + column + ${k * N}, ${outputs});`))}
${text(blocks.map(([r, k]) => `    s${r}_${k} = subgroupMatrixMultiplyAccumulate(a${r}, b${k}, s${r}_${k});`))}
  }
${text(blocks.map(([r, k]) => `  subgroupMatrixStore<row_major>(&c, (row + ${r * M}) * ${outputs} + column + ${k * N}, s${r}_${k}, ${outputs});`))}
}
`
}

/** Small numbers whose products and sums are exact, in [-2, 2], and their bits as half floats. */
function smallNumbers(length: number, seed: number): { values: Int8Array; bits: Uint16Array<ArrayBuffer> } {
  const halves = [0xc000, 0xbc00, 0, 0x3c00, 0x4000] // -2, -1, 0, 1, 2
  const values = new Int8Array(length)
  const bits = new Uint16Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const at = (state >>> 16) % 5
    values[i] = at - 2
    bits[i] = halves[at] as number
  }
  return { values, bits }
}

/** @param name a part of the adapter's name; undefined: the best one */
export async function timeMatrices(name: string | undefined, say: (facts: object) => void): Promise<void> {
  const { adapter } = await pickAdapter(name)
  if (MATRIX_FEATURES.some((feature) => !adapter.features.has(feature))) {
    say({ skipped: 'the adapter has no matrix units to offer, or no half floats' })
    return
  }
  const { subgroupMatrixConfigs = [] } = adapter.info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits
  const requiredLimits = { maxBufferSize, maxStorageBufferBindingSize }
  const device = await adapter.requestDevice({ requiredFeatures: [...MATRIX_FEATURES], requiredLimits })
  try {
    const configs = [...subgroupMatrixConfigs].filter(({ componentType }) => componentType === 'f16')
    for (const config of configs) {
      const { componentType, resultComponentType, M, N, K } = config
      for (const sizes of PRODUCTS) {
        for (const most of ROWS) {
          const facts = { componentType, resultComponentType, M, N, K, ...sizes, rows: most }
          try {
            say({ ...facts, ...(await timeProduct(device, config, sizes, most, adapter.info.subgroupMaxSize)) })
          } catch (error) {
            say({ ...facts, failed: String(error).slice(0, 500) })
          }
        }
      }
    }
  } finally {
    device.destroy()
  }
}

/** Does this in an error scope, which is left however it ends; what Dawn finds invalid is thrown before what comes of it. */
async function validated<T>(device: GPUDevice, run: () => Promise<T>): Promise<T> {
  device.pushErrorScope('validation')
  const [outcome] = await Promise.allSettled([run()])
  const error = await device.popErrorScope()
  if (error) throw new Error(error.message)
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}

async function timeProduct(
  device: GPUDevice,
  config: MatrixConfig,
  sizes: Sizes,
  most: number,
  lanes: number,
): Promise<object> {
  const { positions, inputs, outputs } = sizes
  const rows = blocksOf(positions, config.M, most)
  const columns = blocksOf(outputs, config.N, COLUMNS)
  const { STORAGE, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage
  const bytes = config.resultComponentType === 'f16' ? 2 : 4
  const [left, right] = [smallNumbers(positions * inputs, 1), smallNumbers(inputs * outputs, 2)]
  const buffers: GPUBuffer[] = []
  const buffer = (size: number, usage: number) => {
    const made = device.createBuffer({ size, usage })
    buffers.push(made)
    return made
  }
  try {
    const { run, c } = await validated(device, async () => {
      const module = device.createShaderModule({ code: matrixShader(config, sizes, rows, columns, lanes) })
      const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } })
      const a = buffer(left.bits.byteLength, STORAGE | COPY_DST)
      const b = buffer(right.bits.byteLength, STORAGE | COPY_DST)
      const c = buffer(bytes * positions * outputs, STORAGE | COPY_SRC)
      device.queue.writeBuffer(a, 0, left.bits)
      device.queue.writeBuffer(b, 0, right.bits)
      const entries = [a, b, c].map((each, binding) => ({ binding, resource: { buffer: each } }))
      const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })
      const workgroups = [positions / config.M / rows, outputs / config.N / columns] as const
      const run = async (count: number) => {
        const began = performance.now()
        const encoder = device.createCommandEncoder()
        const pass = encoder.beginComputePass()
        pass.setPipeline(pipeline)
        pass.setBindGroup(0, group)
        for (let i = 0; i < count; i++) pass.dispatchWorkgroups(...workgroups)
        pass.end()
        device.queue.submit([encoder.finish()])
        await device.queue.onSubmittedWorkDone()
        return (performance.now() - began) / 1000
      }
      await run(2)
      return { run, c }
    })
    const times: number[] = []
    for (let i = 0; i < 4; i++) times.push((await run(DISPATCHES)) - (await run(1)))
    const seconds = Math.min(...times) / (DISPATCHES - 1)
    // One row of the result, the last.
    const staging = buffer(bytes * outputs, MAP_READ | COPY_DST)
    const encoder = device.createCommandEncoder()
    encoder.copyBufferToBuffer(c, bytes * (positions - 1) * outputs, staging, 0, bytes * outputs)
    device.queue.submit([encoder.finish()])
    await staging.mapAsync(GPUMapMode.READ)
    const row = staging.getMappedRange().slice(0)
    const found = bytes === 4 ? [...new Float32Array(row)] : [...new Uint16Array(row)].map(halfValue)
    const wrong = found.filter((value, o) => {
      let sum = 0
      for (let i = 0; i < inputs; i++) {
        sum += (left.values[(positions - 1) * inputs + i] as number) * (right.values[i * outputs + o] as number)
      }
      return Math.abs(value - sum) > 0.5
    }).length
    const gflops = (2 * positions * inputs * outputs) / seconds / 1e9
    return { blocks: [rows, columns], microseconds: 1e6 * seconds, gflops, wrong }
  } finally {
    for (const each of buffers) each.destroy()
  }
}

function halfValue(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
  return bits & 0x8000 ? -magnitude : magnitude
}
