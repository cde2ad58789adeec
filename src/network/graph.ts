/**
 * The network as data: tensors, nodes and stages.
 *
 * The graph is built once for a model and a tile size (`cleric.ts`) and run by a
 * backend. A node (`ops/`) names its parameters; it never holds them. Tensors are one
 * image's activations, channels x height x width; a backend lays them out as it
 * likes and may reuse a tensor's memory after its last reader.
 *
 * Analysis and synthesis are floating point. Everything that decides what the entropy coder decodes, from z_hat to
 * y_hat, is integers, the same on every device (`ops/integer-layers.ts`).
 *
 * A stage runs from start to end without the host; between stages the host reads
 * outputs and supplies inputs (the decoder's entropy coder sits there). Tensors
 * made in one stage may be read in later ones.
 */

import type { Node } from './ops/index.js'
import type { Parameters } from './parameters.js'
import type { Tensor } from './tensor.js'

export type * from './ops/index.js'
export { DEAD_ZONE_TABLE, LATENT_STEPS, nodeInputs, nodeOutputs, RSQRT_TABLE } from './ops/index.js'
export type * from './parameters.js'
export type * from './tensor.js'

/**
 * What crosses between host and device.
 * `float`: Float32Array, channels x height x width. `rgb8`: Uint8Array, height x width x 3 interleaved, value v
 * stands for v / 255; on output clamped to 0..255 and rounded to nearest. `int16`: Int16Array of integral values, CHW.
 * `anchors`, `nonAnchors`, `halves`: Int16Array of integral values in the order in which they are coded, see `ports.ts`:
 * those of one half of the checkerboard, the other being zero, or of the anchors and then the others.
 */
export interface Port {
  readonly tensor: Tensor
  readonly format: 'float' | 'rgb8' | 'int16' | 'anchors' | 'nonAnchors' | 'halves'
}

export interface Stage {
  readonly name: string
  readonly inputs: readonly Port[]
  readonly nodes: readonly Node[]
  readonly outputs: readonly Port[]
}

export interface Graph {
  readonly tensors: readonly Tensor[]
  readonly stages: readonly Stage[]
}

export type PortData = Float32Array | Uint8Array | Int16Array

/** A graph made ready on a device. Stages run in order; a stage is given exactly its inputs and gives its outputs. */
export interface Executable {
  /** Runs stage `index`; calls on one executable must not overlap. Every device error rejects. */
  run(index: number, inputs: ReadonlyMap<Tensor, PortData>, signal?: AbortSignal): Promise<Map<Tensor, PortData>>
  /**
   * {@link run} for up to as many tiles as the graph was compiled for, at once; the inputs, and the outputs, of each;
   * null for one that nobody wants any more. A tile's results don't depend on the others. A backend without `batchOf`
   * lacks this.
   */
  runBatch?(
    index: number,
    inputs: readonly (ReadonlyMap<Tensor, PortData> | null)[],
    signal?: AbortSignal,
  ): Promise<(Map<Tensor, PortData> | null)[]>
  /** Frees the device memory of this graph (not the backend's shared weights). */
  close(): void
}

/** A device that can run graphs. */
export interface Backend {
  readonly kind: 'webgpu' | 'cpu'
  /** Name of the adapter or processor, for people. */
  readonly name: string
  /**
   * How many executables under way keep it at work: while one tile's symbols are coded, or its pixels are on their way,
   * it runs another's graph.
   */
  readonly tilesInFlight: number
  /**
   * Seconds that the calling thread has spent on runs so far: recording them, handing them over, copying what goes in
   * and comes out; not waiting. A backend that works on other threads doesn't tell.
   */
  readonly hostSeconds?: number
  /** Most tiles that an executable takes at once; default: 1. Each graph has its own, see {@link batchOf}. */
  readonly tilesTogether?: number
  /** Whether nothing runs on it any more: its device is lost, which only another backend mends, or it is closed. */
  readonly isLost: boolean
  /**
   * How many tiles of this graph the device should compute at once: 1 where that gains nothing, or there is no room. A
   * backend without this computes them one by one.
   */
  batchOf?(graph: Graph, parameters: Parameters): number
  /**
   * Compiles a graph; parameters are uploaded once a backend and shared by its executables.
   *
   * @param batch most tiles that `runBatch` takes, up to what {@link batchOf} gives; default: 1
   */
  compile(graph: Graph, parameters: Parameters, batch?: number): Promise<Executable>
  close(): void
}
