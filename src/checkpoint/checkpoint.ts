/** Reads checkpoints of PyTorch: a ZIP file with a pickle, and an entry for every storage of tensors. */
import { type FileHandle, open } from 'node:fs/promises'
import { checkString } from '../arguments.js'
import { CorruptDataError, UnsupportedError } from '../errors.js'
import { Call, Named, Persistent, type PickleValue, readPickle } from './pickle.js'
import { type ZipEntry, ZipFile } from './zip.js'

const MAX_PICKLE_BYTES = 2 ** 26
const MAX_DIMENSIONS = 8
/** How often all of the file may be read for its tensors. */
const MAX_READS = 4
const ROOT = '/data.pkl'

/** Bytes of an element, and how one is read. */
const STORAGES: Record<string, { size: number; read: (view: DataView, at: number) => number }> = {
  'torch FloatStorage': { size: 4, read: (view, at) => view.getFloat32(at, true) },
  'torch DoubleStorage': { size: 8, read: (view, at) => view.getFloat64(at, true) },
  'torch HalfStorage': { size: 2, read: (view, at) => halfFloat(view.getUint16(at, true)) },
  // The upper half of a float32.
  'torch BFloat16Storage': { size: 2, read: (view, at) => upperHalf(view.getUint16(at, true)) },
}

export interface Weights {
  readonly shape: readonly number[]
  /** In row-major order, whatever the order in the file. */
  readonly data: Float32Array
}

export class Checkpoint {
  /** The saved object: a dictionary, if our training saved it. Tensors are calls that were not made. */
  readonly root: PickleValue
  readonly #handle: FileHandle
  readonly #zip: ZipFile
  readonly #folder: string
  readonly #bytes: number
  /** Bytes of storages that were read, some perhaps more than once. */
  #read = 0

  private constructor(handle: FileHandle, bytes: number, zip: ZipFile, folder: string, root: PickleValue) {
    this.#handle = handle
    this.#bytes = bytes
    this.#zip = zip
    this.#folder = folder
    this.root = root
  }

  /**
   * Opens a checkpoint. Nothing in it is executed.
   *
   * @throws UnsupportedError ERR_MODEL_UNSUPPORTED, CorruptDataError ERR_MODEL_CORRUPT
   */
  static async open(path: string): Promise<Checkpoint> {
    const handle = await open(checkString(path, 'path'), 'r')
    try {
      const zip = await ZipFile.open(handle)
      const [name, entry] = [...zip.entries].find(([each]) => each.endsWith(ROOT)) ?? []
      if (!name || !entry) throw unsupported('it has no data.pkl, so it is not of PyTorch')
      if (entry.size > MAX_PICKLE_BYTES) throw corrupt(`its pickle has ${entry.size} bytes`)
      const root = readPickle(await zip.read(entry))
      const { size } = await handle.stat()
      return new Checkpoint(handle, size, zip, name.slice(0, -ROOT.length), root)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** A tensor of floating-point numbers, as float32. */
  async tensor(value: PickleValue | undefined, name: string): Promise<Weights> {
    const [storage, offset, shape, strides] = tensorArguments(value, name)
    const { entry, kind, length } = this.#storage(storage, name)
    const count = shape.reduce((product, side) => product * side, 1)
    // With strides of 0 a small file could claim a tensor of any size.
    if (count > length) throw corrupt(`${name} has ${count} elements in a storage of ${length}`)
    const last = shape.reduce((sum, side, i) => sum + Math.max(0, side - 1) * (strides[i] as number), offset)
    if (count === 0) return { shape, data: new Float32Array(0) }
    if (last >= length) throw corrupt(`${name} reaches beyond its storage`)
    const span = (last - offset + 1) * kind.size
    this.#read += span
    // Tensors may share a storage, as those with tied weights do, but not without end.
    if (this.#read > MAX_READS * this.#bytes) throw corrupt(`its tensors read its bytes more than ${MAX_READS} times`)
    const bytes = await this.#zip.read(entry, offset * kind.size, span)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const data = new Float32Array(count)
    const index = shape.map(() => 0)
    for (let i = 0, at = 0; i < count; i++) {
      data[i] = kind.read(view, at * kind.size)
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        index[axis] = (index[axis] as number) + 1
        at += strides[axis] as number
        if ((index[axis] as number) < (shape[axis] as number)) break
        at -= (index[axis] as number) * (strides[axis] as number)
        index[axis] = 0
      }
    }
    return { shape, data }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  #storage(value: PickleValue, name: string) {
    const id = value instanceof Persistent && Array.isArray(value.id) ? value.id : []
    const [tag, type, key] = id
    if (tag !== 'storage' || !(type instanceof Named) || typeof key !== 'string') {
      throw corrupt(`${name} has no storage`)
    }
    const kind = STORAGES[type.name]
    if (!kind) throw unsupported(`${name} has elements of type ${type.name}`)
    const entry: ZipEntry | undefined = this.#zip.entries.get(`${this.#folder}/data/${key}`)
    if (!entry) throw corrupt(`the storage of ${name} is missing`)
    return { entry, kind, length: Math.floor(entry.size / kind.size) }
  }
}

/** Storage, offset, shape and strides, in elements. */
function tensorArguments(value: PickleValue | undefined, name: string): [PickleValue, number, number[], number[]] {
  const isCall = (of: PickleValue | undefined, callee: string): of is Call =>
    of instanceof Call && of.callee instanceof Named && of.callee.name === callee
  let call = value
  if (isCall(call, 'torch._utils _rebuild_parameter') && Array.isArray(call.args)) call = call.args[0]
  if (!isCall(call, 'torch._utils _rebuild_tensor_v2') || !Array.isArray(call.args)) {
    throw unsupported(`${name} is no tensor`)
  }
  const [storage = null, offset, shape, strides] = call.args
  const numbers = (list: PickleValue | undefined): list is number[] =>
    Array.isArray(list) && list.length <= MAX_DIMENSIONS && list.every(isCount)
  if (!isCount(offset) || !numbers(shape) || !numbers(strides) || shape.length !== strides.length) {
    throw corrupt(`${name} has an impossible shape`)
  }
  return [storage, offset, shape, strides]
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2 ** 40
}

const scratch = new DataView(new ArrayBuffer(4))

function upperHalf(bits: number): number {
  scratch.setUint32(0, bits << 16)
  return scratch.getFloat32(0)
}

function halfFloat(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

function corrupt(what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `The checkpoint is damaged: ${what}`)
}

function unsupported(what: string): UnsupportedError {
  return new UnsupportedError('ERR_MODEL_UNSUPPORTED', `The checkpoint can't be converted: ${what}`)
}
