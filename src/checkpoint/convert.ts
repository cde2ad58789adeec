/**
 * Converts a checkpoint of the training, or of MLIC++ (`mlicpp.ts`), to a model file. The checkpoint is read here, where nothing in it is executed.
 * The training's exporter, in Python, gets the plain numbers and makes a model of them: coding tables, rounding,
 * calibration.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ClericError, CorruptDataError, throwIfAborted, UnsupportedError } from '../errors.js'
import { PartialFile } from '../files/partial-file.js'
import { parseModel } from '../model/model.js'
import { Checkpoint, type Weights } from './checkpoint.js'
import { fromMlicpp, isMlicpp, isWeight } from './mlicpp.js'
import type { PickleValue } from './pickle.js'

const TRAINING = fileURLToPath(new URL('../../training', import.meta.url))
const MODULES = ['torch', 'torchvision', 'numpy', 'PIL']
/** Whether they are there; to import them takes a second. */
const LOOK = 'import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))'
const PACKAGES = 'python3-torch python3-torchvision python3-numpy python3-pil'
/** Most weights in all: 4 GiB. */
const MAX_WEIGHTS = 2 ** 30

export interface ConvertOptions {
  /** Further options of the exporter. */
  readonly exporter: readonly string[]
  readonly overwrite: boolean
  readonly signal: AbortSignal
}

export interface Converted {
  readonly bytes: number
  readonly model: { readonly name: string; readonly hash: string }
  readonly tensors: number
  readonly weights: number
}

/** @throws CorruptDataError, UnsupportedError; ClericError ERR_PYTHON_MISSING, ERR_EXPORT_FAILED, ERR_FILE_EXISTS */
export async function convertWeights(path: string, output: string, options: ConvertOptions): Promise<Converted> {
  const python = await findPython(options.signal)
  const folder = await mkdtemp(join(tmpdir(), 'cleric-weights-'))
  try {
    const [weights, model] = [join(folder, 'weights.safetensors'), join(folder, 'model.safetensors')]
    const counts = await writeWeights(path, weights, options.signal)
    const argv = ['-m', 'cleric_training.export', '--checkpoint', weights, '--out', model, ...options.exporter]
    const { status, stderr } = await run(python, argv, options.signal)
    if (status !== 0) {
      const last = stderr.trim().split('\n').at(-1)
      throw new ClericError('ERR_EXPORT_FAILED', `The exporter failed: ${last}`)
    }
    const bytes = await readFile(model)
    const { name, hash } = await parseModel(bytes)
    const file = await PartialFile.create(output)
    try {
      await file.publish(bytes, 8, bytes.length, options.overwrite)
    } finally {
      await file.discard()
    }
    return { bytes: bytes.length, model: { name, hash }, ...counts }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A Python that can run the exporter. */
async function findPython(signal: AbortSignal): Promise<string> {
  if (!existsSync(join(TRAINING, 'cleric_training', 'export.py'))) {
    throw new ClericError('ERR_PYTHON_MISSING', `The exporter is not in ${TRAINING}: run this in a clone of cleric`)
  }
  const tried = process.env.PYTHON ? [process.env.PYTHON] : ['/usr/bin/python3', 'python3']
  for (const python of tried) {
    const { status } = await run(python, ['-c', LOOK, ...MODULES], signal)
    if (status === 0) return python
  }
  const where = tried.join(', ')
  const remedy = `install ${PACKAGES}, or set PYTHON to one that has them`
  throw new ClericError('ERR_PYTHON_MISSING', `No Python (${where}) with ${MODULES.join(', ')}: ${remedy}`)
}

async function run(
  command: string,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<{ status: number | null; stderr: string }> {
  throwIfAborted(signal)
  const result = await new Promise<{ status: number | null; stderr: string }>((resolve) => {
    const child = spawn(command, argv, { cwd: TRAINING, stdio: ['ignore', 'ignore', 'pipe'], signal })
    let stderr = ''
    child.stderr.on('data', (text) => {
      // The end is what says why.
      stderr = `${stderr}${text}`.slice(-4000)
    })
    child.on('error', (error) => resolve({ status: null, stderr: error.message }))
    child.on('close', (status) => resolve({ status, stderr }))
  })
  throwIfAborted(signal)
  return result
}

/**
 * Writes a checkpoint's weights as float32 with configuration and counts, for `checkpoint.load` of the training.
 *
 * @returns how many tensors and weights there are
 * @throws CorruptDataError, UnsupportedError
 */
export async function writeWeights(path: string, output: string, signal: AbortSignal) {
  const checkpoint = await Checkpoint.open(path)
  try {
    const root = dictionary(checkpoint.root, 'it')
    const { config, counts, tensors } =
      typeof root.get('config') === 'string'
        ? await trainedHere(checkpoint, root, signal)
        : await trainedAsMlicpp(checkpoint, root, signal)
    const described: [string, object][] = []
    let weights = 0
    for (const [name, { shape, data }] of tensors) {
      described.push([name, { dtype: 'F32', shape, data_offsets: [4 * weights, 4 * (weights + data.length)] }])
      weights += data.length
    }
    const data = Array.from(tensors.values(), (tensor) => tensor.data)
    // Any name may stand in a checkpoint, "__proto__" too.
    const header = Object.fromEntries([
      ['__metadata__', { format: 'cleric-weights/1', config, counts }] as const,
      ...described,
    ])
    await writeSafetensors(output, header, data)
    return { tensors: tensors.size, weights }
  } finally {
    await checkpoint.close()
  }
}

interface Trained {
  readonly config: string
  /** JSON: how long it was trained, as far as that is known. */
  readonly counts: string
  readonly tensors: ReadonlyMap<string, Weights>
}

/** The averaged weights of a training of this project. */
async function trainedHere(checkpoint: Checkpoint, root: Dictionary, signal: AbortSignal): Promise<Trained> {
  const average = dictionary(root.get('ema'), 'its entry "ema"')
  const counts: Record<string, number> = {}
  for (const [name, count] of dictionary(root.get('counts'), 'its entry "counts"')) {
    if (typeof name === 'string' && typeof count === 'number') counts[name] = count
  }
  const tensors = await read(checkpoint, namesOf(average), signal)
  return { config: root.get('config') as string, counts: JSON.stringify(counts), tensors }
}

/** The weights of MLIC++: of its training, of CompressAI or PyTorch as they are, of DataParallel with a prefix. */
async function trainedAsMlicpp(checkpoint: Checkpoint, root: Dictionary, signal: AbortSignal): Promise<Trained> {
  const nested = root.get('state_dict')
  const state = namesOf(nested instanceof Map ? nested : root)
  const named = new Map(Array.from(state, ([name, value]) => [name.replace(/^module\./, ''), value]))
  if (named.size !== state.size) throw corrupt('a name of a tensor is there with and without "module."')
  if (!isMlicpp(named.keys())) {
    throw unsupported("it has no configuration, so it is not of a training of cleric, nor has it MLIC++'s layers")
  }
  const kept = new Map([...named].filter(([name]) => isWeight(name)))
  const { config, tensors } = fromMlicpp(await read(checkpoint, kept, signal))
  return { config: JSON.stringify(config), counts: '{}', tensors }
}

/** Reads tensors, within the bound of all weights. */
async function read(checkpoint: Checkpoint, values: ReadonlyMap<string, PickleValue>, signal: AbortSignal) {
  const tensors = new Map<string, Weights>()
  let weights = 0
  for (const [name, value] of values) {
    throwIfAborted(signal)
    const tensor = await checkpoint.tensor(value, name)
    tensors.set(name, tensor)
    weights += tensor.data.length
    if (weights > MAX_WEIGHTS) throw unsupported(`it has more than ${MAX_WEIGHTS} weights`)
  }
  return tensors
}

/** A dictionary of tensors by name. */
function namesOf(dictionary: Dictionary): Map<string, PickleValue> {
  const names = new Map<string, PickleValue>()
  for (const [name, value] of dictionary) {
    if (typeof name !== 'string' || name === '__metadata__') throw corrupt('a name of a tensor is none')
    names.set(name, value)
  }
  return names
}

async function writeSafetensors(path: string, header: object, tensors: readonly Float32Array[]): Promise<void> {
  const text = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  const file = await open(path, 'wx')
  try {
    for (const part of [length, padded, ...tensors]) {
      await file.writeFile(new Uint8Array(part.buffer, part.byteOffset, part.byteLength))
    }
  } finally {
    await file.close()
  }
}

type Dictionary = ReadonlyMap<PickleValue, PickleValue>

function dictionary(value: PickleValue | undefined, what: string): Dictionary {
  if (value instanceof Map) return value
  throw unsupported(`${what} is no dictionary, so it is not of a training of cleric`)
}

function corrupt(what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `The checkpoint is damaged: ${what}`)
}

function unsupported(what: string): UnsupportedError {
  return new UnsupportedError('ERR_MODEL_UNSUPPORTED', `The checkpoint can't be converted: ${what}`)
}
