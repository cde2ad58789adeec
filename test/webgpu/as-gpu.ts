/** GPUs that this machine need not have. */
import { type FoundAdapter, pickAdapter } from '../../src/webgpu/adapters.js'
import type { MatrixUnits } from '../../src/webgpu/subgroups.js'

/** As NVIDIA's GPUs have them. */
export const UNITS: MatrixUnits = { rows: 16, columns: 16, depth: 16, lanes: 32 }

/** The best adapter here, or of those whose name contains `name`, as if it were a GPU. */
export async function asGpu(name?: string): Promise<FoundAdapter> {
  const { description, adapter } = await pickAdapter(name)
  return { description: { ...description, software: false }, adapter }
}
