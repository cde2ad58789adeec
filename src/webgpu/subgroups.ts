/**
 * What convolutions of floats do with subgroups, the invocations that a GPU runs in step: hand each other what they have read,
 * and multiply matrices of half floats in units made for it, where Dawn offers them (WebGPU doesn't yet).
 */
import type { FoundAdapter } from './adapters.js'

/** The shape of matrices that a subgroup multiplies at once: rows x depth by depth x columns. */
export interface MatrixUnits {
  readonly rows: number
  readonly columns: number
  readonly depth: number
  /** Invocations of a subgroup. */
  readonly lanes: number
}

export interface SubgroupUse {
  /** Whether invocations of neighbouring tiles read what both need once: SHUFFLE of conv.wgsl. */
  readonly shuffles: boolean
  /** What conv_matrix.wgsl multiplies by; null: nothing. */
  readonly matrices: MatrixUnits | null
}

export const NO_SUBGROUPS: SubgroupUse = { shuffles: false, matrices: null }

/** An entry of what Dawn lists of an adapter. */
export interface MatrixConfig {
  readonly componentType: string
  readonly resultComponentType: string
  readonly M: number
  readonly N: number
  readonly K: number
}

/** What a device must be asked for to multiply matrices. @webgpu/types doesn't know the last yet. */
export const MATRIX_FEATURES = [
  'shader-f16',
  'subgroups',
  'chromium-experimental-subgroup-matrix',
] as unknown as readonly GPUFeatureName[]

/** What a device must be asked for. */
export function featuresOf({ shuffles, matrices }: SubgroupUse): readonly GPUFeatureName[] {
  if (matrices) return MATRIX_FEATURES
  return shuffles ? ['subgroups'] : []
}

/** All that an adapter offers. */
export function subgroupsOf(found: FoundAdapter): SubgroupUse {
  return { shuffles: found.description.features.includes('subgroups'), matrices: matricesOf(found) }
}

/** The largest matrices of half floats, summed in floats, that the kernels can be made of. */
function matricesOf({ description, adapter }: FoundAdapter): MatrixUnits | null {
  if (MATRIX_FEATURES.some((feature) => !description.features.includes(feature))) return null
  const { subgroupMinSize: lanes, subgroupMaxSize } = adapter.info
  // A tile is divided among subgroups of a known size, of which a workgroup has four.
  if (lanes !== subgroupMaxSize || lanes > 64) return null
  const { subgroupMatrixConfigs = [] } = adapter.info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> }
  const isOurs = ({ componentType, resultComponentType, M, N, K }: MatrixConfig) =>
    componentType === 'f16' && resultComponentType === 'f32' && [M, N, K].every((size) => size === 8 || size === 16)
  const [best] = [...subgroupMatrixConfigs].filter(isOurs).sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)
  return best ? { rows: best.M, columns: best.N, depth: best.K, lanes } : null
}
