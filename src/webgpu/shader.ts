/**
 * Shader files: found, expanded, and read for what the host must know — the
 * bindings, the fields of Params, the workgroup's size. The WGSL is the only
 * place where these are written down.
 */
import { expand } from './preprocessor.js'
import { readShader } from './shader-files.js'

export type BindingKind =
  | 'texture'
  | 'integerTexture'
  | 'storageTexture'
  | 'halfStorageTexture'
  | 'uniform'
  | 'storageRead'
  | 'storageWrite'

export interface Binding {
  readonly index: number
  readonly name: string
  readonly kind: BindingKind
}

export interface Field {
  readonly name: string
  readonly type: 'i32' | 'f32'
}

export interface Shader {
  readonly name: string
  readonly code: string
  readonly bindings: readonly Binding[]
  readonly fields: readonly Field[]
  readonly workgroup: readonly [number, number, number]
}

function bindingKind(space: string | undefined, type: string): BindingKind {
  if (space?.startsWith('uniform')) return 'uniform'
  if (space?.startsWith('storage')) return space.includes('write') ? 'storageWrite' : 'storageRead'
  if (type.startsWith('texture_storage_2d_array<rgba32float')) return 'storageTexture'
  if (type.startsWith('texture_storage_2d_array<rgba16float')) return 'halfStorageTexture'
  if (type === 'texture_2d_array<i32>') return 'integerTexture'
  if (type === 'texture_2d_array<f32>') return 'texture'
  throw new SyntaxError(`no such binding: ${space ?? ''} ${type}`)
}

/** Reads bindings, Params and workgroup size out of expanded WGSL. */
export function parseShader(name: string, code: string): Shader {
  const bindings = [...code.matchAll(/@binding\((\d+)\)\s*var(?:<([^>]+)>)?\s+(\w+)\s*:\s*([^;]+);/g)].map(
    ([, index, space, variable = '', type = '']) => ({
      index: Number(index),
      name: variable,
      kind: bindingKind(space, type),
    }),
  )
  const struct = /struct Params \{(.*?)\n\}/s.exec(code)?.[1] ?? ''
  const fields = [...struct.matchAll(/^\s*(\w+)\s*:\s*(\w+)/gm)].map(([, field = '', type]) => {
    if (type !== 'i32' && type !== 'f32') throw new SyntaxError(`${name}: Params.${field} is neither i32 nor f32`)
    return { name: field, type } as const
  })
  const size = /@workgroup_size\(([^)]*)\)/.exec(code)?.[1]?.split(',').map(Number) ?? []
  return { name, code, bindings, fields, workgroup: [size[0] ?? 1, size[1] ?? 1, size[2] ?? 1] }
}

/** A shader of shaders/ with its constants filled in. */
export function loadShader(name: string, constants: Readonly<Record<string, number>>): Shader {
  return parseShader(name, expand(readShader(`${name}.wgsl`), constants, readShader))
}

/** The bytes of Params; every field must be given and no other. */
export function packParams(shader: Shader, params: Readonly<Record<string, number>>): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(16 * Math.ceil(shader.fields.length / 4)))
  shader.fields.forEach(({ name, type }, i) => {
    const value = params[name]
    if (value === undefined) throw new RangeError(`${shader.name}: no value for Params.${name}`)
    if (type === 'i32') view.setInt32(4 * i, value, true)
    else view.setFloat32(4 * i, value, true)
  })
  for (const name of Object.keys(params)) {
    if (!shader.fields.some((field) => field.name === name)) throw new RangeError(`${shader.name}: no Params.${name}`)
  }
  return new Uint8Array(view.buffer)
}
