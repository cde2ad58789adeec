/** onnxruntime-node, as far as the benches use it. It is no dependency of ours: they are given a folder where it is installed. */
import { createRequire } from 'node:module'

export interface OnnxRuntime {
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => { readonly data: Float32Array }
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: object,
    ): Promise<{ run(feeds: object): Promise<Record<string, { readonly data: Float32Array }>> }>
  }
}

/** The runtime in `folder`, where `npm install onnxruntime-node` was run; ends `bench` where none was named. */
export function onnxRuntime(bench: string, folder: string | undefined): OnnxRuntime {
  if (!folder) {
    console.error(`${bench}: --runtime DIR is missing: a folder where \`npm install onnxruntime-node\` was run`)
    process.exit(2)
  }
  return createRequire(`${folder}/`)('onnxruntime-node') as OnnxRuntime
}
