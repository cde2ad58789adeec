/** How convolutions are divided among a GPU's matrix units: see conv_matrix.wgsl. */

import { groupsOf, type Weights } from '../dispatch.js'
import { WORKGROUP_BYTES } from '../limits.js'
import type { MatrixUnits } from '../subgroups.js'
import { blocksOf, type Grid, outputChannel, type Product } from './conv-tiles.js'

/** Positions across a workgroup's tile, and inputs that it keeps at a time. Also in the shader. */
const WIDTH = 16
const CHUNK = 16
/** Subgroups of a workgroup. */
const SUBGROUPS = 4
/** Rows of a tile, many if that leaves enough workgroups to keep a large GPU busy. */
const ROWS = { many: 8, few: 4 } as const
const BUSY_WORKGROUPS = 256
/** Outputs of a workgroup: what an invocation's registers hold. */
const COLUMNS = [64, 48, 32] as const
/** As many fit where a subgroup has one row of positions. */
const MANY_COLUMNS = [192, 96] as const
/** Workgroups of a tile that leave a large GPU enough to do where each makes its samples, as a batch has several times as many. */
const BUSY_SAMPLING = 64
/** Below this, most of a matrix would be padding. */
const LEAST_CHANNELS = 16

interface MatrixGrid extends Grid {
  /** Outputs of a workgroup, and how often they make up all. */
  readonly columns: number
  readonly rounds: number
  /** How many chunks the inputs are taken in. */
  readonly chunks: number
}

/**
 * The grid of a product, or null if it doesn't suit matrix units: those of few channels, whose parts don't fill whole
 * tiles, or whose inputs don't fit into a workgroup's memory.
 *
 * @param isHalf whether the source is of half floats
 */
export function matrixGrid(product: Product, units: MatrixUnits, isHalf: boolean): MatrixGrid | null {
  const { kernel, stride, inputs, outputs, shuffle, height, width, parts = 1 } = product
  const columns = columnsOf(blocksOf(outputs, shuffle) / parts, units, parts > 1, COLUMNS)
  const terms = isHalf ? 1 : 2
  if (columns === null || inputs < LEAST_CHANNELS) return null
  const rounds = Math.ceil((4 * blocksOf(outputs, shuffle)) / columns)
  const across = (positions: number) => positions * stride - stride + kernel
  const bytes = (rows: number) =>
    2 * terms * across(WIDTH) * across(rows) * CHUNK + 4 * SUBGROUPS * units.rows * units.columns
  const isMany = bytes(ROWS.many) <= WORKGROUP_BYTES && rounds * tilesOf(height, width, ROWS.many) >= BUSY_WORKGROUPS
  const rows = isMany ? ROWS.many : ROWS.few
  if (bytes(rows) > WORKGROUP_BYTES) return null
  return dividedInto({ columns, rows, terms }, product, units)
}

/**
 * {@link matrixGrid} of a product over the samples of nine taps, which each workgroup makes for itself: of few positions
 * and many outputs, so that few are made twice.
 *
 * @param product of a 1x1 convolution; inputs run over taps, then channels
 */
export function sampledGrid(product: Product, units: MatrixUnits): MatrixGrid | null {
  const { inputs, outputs, shuffle, height, width } = product
  const tiles = tilesOf(height, width, ROWS.few)
  const isBusy = (columns: number) => tiles * Math.ceil(outputs / columns) >= BUSY_SAMPLING
  const columns = columnsOf(blocksOf(outputs, shuffle), units, false, [...MANY_COLUMNS.filter(isBusy), ...COLUMNS])
  // Chunks are of one tap.
  if (columns === null || inputs % (9 * CHUNK) !== 0) return null
  return dividedInto({ columns, rows: ROWS.few, terms: 2 }, product, units)
}

function tilesOf(height: number, width: number, rows: number): number {
  return Math.ceil(width / WIDTH) * Math.ceil(height / rows)
}

/** The grid of a product in so many outputs and rows of positions a workgroup. */
function dividedInto(
  { columns, rows, terms }: { readonly columns: number; readonly rows: number; readonly terms: number },
  { kernel, stride, padding, shuffle, inputs, outputs, height, width, parts = 1 }: Product,
  units: MatrixUnits,
): MatrixGrid {
  const blocks = blocksOf(outputs, shuffle)
  const rounds = Math.ceil((4 * blocks) / columns)
  const chunks = Math.ceil(inputs / CHUNK)
  return {
    constants: {
      ...{ K: kernel, S: stride, M: units.rows, N: units.columns, D: units.depth, LANES: units.lanes },
      ...{ ROWS: rows, COLUMNS: columns, TERMS: terms },
      ...(parts > 1 ? { PARTS: parts } : {}),
    },
    layers: (rounds * columns) / 4,
    params: {
      ...{ width, height, blocks, groups: groupsOf(inputs), chunks, rounds, origin: 2 - padding, shuffle },
      ...(parts > 1 ? { partBlocks: blocks / parts } : {}),
    },
    invocations: [tilesOf(height, width, rows) * rounds * SUBGROUPS * units.lanes, 1, 1],
    cost: width * height * outputs * inputs * kernel * kernel,
    columns,
    rounds,
    chunks,
  }
}

/** The outputs of a workgroup with which the fewest are padding, the most of those; null if no part may be padded. */
function columnsOf(
  partBlocks: number,
  units: MatrixUnits,
  isWhole: boolean,
  choices: readonly number[],
): number | null {
  const outputs = 4 * partBlocks
  if (outputs < LEAST_CHANNELS) return null
  const padded = (columns: number) => columns * Math.ceil(outputs / columns)
  const fitting = choices.filter((columns) => columns % units.columns === 0 && (!isWhole || outputs % columns === 0))
  return fitting.sort((a, b) => padded(a) - padded(b) || b - a)[0] ?? null
}

/**
 * Weights as rounds of outputs x chunks of inputs x taps x inputs of a chunk x outputs of a round, in half floats, which
 * all of them must be. `data`: outputs x inputs x taps.
 */
export function matrixWeights(
  name: string,
  data: Float32Array,
  { kernel, shuffle, inputs, outputs }: Product,
  { columns, rounds, chunks }: MatrixGrid,
): Weights {
  const taps = kernel * kernel
  const build = () => {
    const packed = new Float32Array(rounds * chunks * taps * CHUNK * columns)
    for (let output = 0; output < 4 * blocksOf(outputs, shuffle); output++) {
      const o = outputChannel(output >> 2, output & 3, outputs, shuffle)
      if (o < 0) continue
      const [round, column] = [Math.floor(output / columns), output % columns]
      for (let i = 0; i < inputs; i++) {
        const chunk = round * chunks + Math.floor(i / CHUNK)
        for (let tap = 0; tap < taps; tap++) {
          const row = (chunk * taps + tap) * CHUNK + (i % CHUNK)
          packed[row * columns + column] = data[(o * inputs + i) * taps + tap] as number
        }
      }
    }
    return packed
  }
  return {
    key: `${name}|matrices of ${columns} by ${shuffle}`,
    width: columns / 4,
    height: taps * CHUNK,
    layers: rounds * chunks,
    build,
    inBuffer: true,
    inHalves: true,
  }
}
