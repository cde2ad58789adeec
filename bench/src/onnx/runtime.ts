/**
 * onnxruntime-node, as far as the bench uses it. It is no dependency of ours: the bench is given a folder where it is
 * installed.
 */
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { Graph, Parameters, PortData, Tensor } from 'cleric/internal'
import { nameOf } from './builder.js'
import { onnxModel } from './model.js'

interface OrtTensor {
  readonly data: Float32Array
}

interface OrtSession {
  run(feeds: object): Promise<Record<string, OrtTensor>>
  release(): Promise<void>
}

interface OrtModule {
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OrtTensor
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> }
}

/** A graph on onnxruntime. */
export interface OnnxSession {
  /** All stages at once, from the inputs of all of them. */
  run(): Promise<ReadonlyMap<string, Float32Array>>
  close(): Promise<void>
}

export class OnnxRuntime {
  readonly version: string
  readonly #ort: OrtModule

  private constructor(ort: OrtModule, version: string) {
    this.#ort = ort
    this.version = version
  }

  /**
   * The runtime in `folder`, where `npm install onnxruntime-node` was run.
   *
   * @throws Error of Node's where there is none
   */
  static open(folder: string): OnnxRuntime {
    const require = createRequire(`${resolve(folder)}/`)
    const ort = require('onnxruntime-node') as OrtModule
    const { version } = require('onnxruntime-node/package.json') as { readonly version: string }
    return new OnnxRuntime(ort, version)
  }

  /**
   * @param inputs of all stages, as for a backend's
   * @throws Error of the runtime's, for a provider that finds no device
   */
  async session(
    graph: Graph,
    parameters: Parameters,
    inputs: ReadonlyMap<Tensor, PortData>,
    provider: { readonly name: 'cpu'; readonly threads: number } | { readonly name: 'webgpu' },
  ): Promise<OnnxSession> {
    const session = await this.#ort.InferenceSession.create(onnxModel(graph, parameters), {
      executionProviders: [provider.name],
      ...(provider.name === 'cpu' ? { intraOpNumThreads: provider.threads, interOpNumThreads: 1 } : {}),
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    })
    const feeds = Object.fromEntries(
      [...inputs].map(([tensor, data]) => {
        const { channels, height, width } = tensor.shape
        const values = asFloats(tensor, data)
        return [nameOf(tensor), new this.#ort.Tensor('float32', values, [1, channels, height, width])]
      }),
    )
    return {
      run: async () => new Map(Object.entries(await session.run(feeds)).map(([name, { data }]) => [name, data])),
      close: () => session.release(),
    }
  }
}

/** Port data as planes of float32; bytes as fractions of 255. */
export function asFloats({ shape }: Tensor, data: PortData): Float32Array {
  if (!(data instanceof Uint8Array)) return Float32Array.from(data)
  const area = shape.height * shape.width
  return Float32Array.from(data, (_, i) => (data[(i % area) * 3 + Math.floor(i / area)] as number) / 255)
}
