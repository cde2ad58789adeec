/** Stand-ins for the runtimes that a speed bench looks for: a module of onnxruntime-node and a Python with PyTorch. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Gives zeros of the right size on the CPU, and has no WebGPU. */
const ort = `
class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }) } }
const names = (model) => [...new Set(Buffer.from(model).toString('latin1').match(/t\\d+/g))]
exports.Tensor = Tensor
exports.InferenceSession = {
  async create(model, { executionProviders: [provider] }) {
    if (provider !== 'cpu') throw new Error('no adapter for ' + provider)
    const outputs = names(model)
    const zeros = new Float32Array(2 ** 20)
    return {
      run: async (feeds) => {
        for (const { data, dims } of Object.values(feeds)) {
          if (data.length !== dims.reduce((a, b) => a * b, 1)) throw new Error('the dimensions do not fit')
        }
        return Object.fromEntries(outputs.map((name) => [name, { data: zeros }]))
      },
      release: async () => {},
    }
  },
}
`

/** @returns a folder for --runtime */
export function fakeOnnxRuntime(folder: string): string {
  const home = join(folder, 'node_modules', 'onnxruntime-node')
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), '{ "name": "onnxruntime-node", "version": "9.9.9", "main": "index.js" }')
  writeFileSync(join(home, 'index.js'), ort)
  return folder
}

/** @returns a program for the variable PYTHON, which says that each tile took two seconds */
export function fakePython(folder: string): string {
  const path = join(folder, 'python')
  const script = `#!/bin/sh
echo '{"name": "PyTorch 0.0, a stand-in"}'
while read -r line; do echo "{\\"direction\\": \\"$line\\", \\"seconds\\": 2}"; done
`
  writeFileSync(path, script)
  chmodSync(path, 0o755)
  return path
}
