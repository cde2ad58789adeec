/** What `bench speed` says: its JSON. */
import type { Failure } from './context.js'
import type { SpeedDevice } from './devices.js'
import type { Peers } from './peers.js'
import type { Scaling } from './scaling.js'
import type { StagesResult } from './stages.js'
import type { Table3 } from './table3.js'
import type { DevicePeak, TileSpeed } from './tiles.js'

/** What was measured on what. */
export interface SpeedFacts {
  readonly format: 'cleric-bench-speed/1'
  /** ISO 8601. */
  readonly date: string
  readonly machine: {
    readonly processor: string
    readonly platform: string
    /** Threads that the processor runs at once. */
    readonly threads: number
    /** The instruction set that the kernels of the device `cpu` use. */
    readonly instructionSet: string
    readonly memoryBytes: number
  }
  readonly versions: { readonly cleric: string; readonly node: string; readonly webgpu: string | null }
  readonly model: { readonly name: string; readonly hash: string }
  readonly devices: readonly Pick<SpeedDevice, 'id' | 'kind' | 'software'>[]
  readonly quality: number
  /** Least length of a measurement. */
  readonly seconds: number
}

/** The JSON that is documented in docs/bench.md; parts that weren't asked for are left out. */
export interface SpeedReport extends SpeedFacts {
  readonly peaks?: readonly DevicePeak[]
  readonly tiles?: readonly TileSpeed[]
  readonly stages?: StagesResult
  readonly peers?: Peers
  readonly scaling?: Scaling
  readonly table3?: Table3
  readonly failures: readonly Failure[]
}
