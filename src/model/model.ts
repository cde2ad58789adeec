/**
 * A model file: configuration, parameters, CDF tables and the hash that archives name it by.
 */
import type { CdfTables } from '../entropy/rans.js'
import { CorruptDataError, UnsupportedError } from '../errors.js'
import { Sha256 } from '../files/sha256.js'
import { type ModelConfig, parseConfig } from '../network/config.js'
import { DEAD_ZONE_TABLE, type Parameters } from '../network/graph.js'
import { deadZones } from './dead-zones.js'
import { DEFAULT_MODEL_FILE, modelBytes } from './model-bytes.js'
import { unpack } from './packing.js'
import { PROMISE_KEY, parseTissueErrors, type TissueErrors } from './promise.js'
import { readSafetensors, type Safetensors, type StoredTensor } from './safetensors.js'

export { DEFAULT_MODEL_FILE }

export interface Model {
  /** For people, e.g. "cleric-s". */
  readonly name: string
  /** See {@link modelHash}; 64 hex digits. */
  readonly hash: string
  readonly config: ModelConfig
  /** The parameters in the file, and the dead zones of `yTables`. */
  readonly parameters: Parameters
  /** One table for each of the 64 scales. */
  readonly yTables: CdfTables
  /** One table for each hyper-latent channel. */
  readonly zTables: CdfTables
  /** The error that it has on tissue, at most. */
  readonly tissueErrors: TissueErrors
}

/** Weights are packed, and the file ends in a checksum. */
const FORMAT = 'cleric-model/3'
/** Neither. */
const PLAIN_FORMAT = 'cleric-model/2'
/** SHA-256 of the file before this tensor. */
export const CHECKSUM = '~checksum'
const SCALE_COUNT = 64

/**
 * Reads and checks a model file.
 *
 * @throws CorruptDataError ERR_MODEL_CORRUPT if the file is damaged or not a model
 * @throws UnsupportedError ERR_MODEL_UNSUPPORTED for another version of the format
 * @example
 * const model = await loadModel('models/cleric-s.safetensors')
 */
export async function loadModel(file: string | URL = DEFAULT_MODEL_FILE): Promise<Model> {
  return parseModel(await modelBytes(file))
}

/** {@link loadModel} for bytes that are already in memory. */
export async function parseModel(bytes: Uint8Array): Promise<Model> {
  const file = await readModelFile(bytes)
  const { metadata } = file
  const config = parseConfig(metadata.config ?? '')
  const yTables = readTables(file, 'cdf.y', SCALE_COUNT)
  const parameters = parametersOf(file, yTables)
  if (config.levels > 0) checkGains(parameters, config)
  return {
    name: metadata.name ?? 'unnamed',
    hash: metadata.hash as string,
    config,
    parameters,
    yTables,
    zTables: readTables(file, 'cdf.z', config.Z),
    tissueErrors: parseTissueErrors(metadata[PROMISE_KEY]),
  }
}

/**
 * The tensors of a model file, unpacked, once checksum and hash are found right; they need not fit together.
 *
 * @throws CorruptDataError ERR_MODEL_CORRUPT, UnsupportedError ERR_MODEL_UNSUPPORTED
 */
export async function readModelFile(bytes: Uint8Array): Promise<Safetensors> {
  const file = readSafetensors(bytes)
  const { format, hash } = file.metadata
  if (format !== FORMAT && format !== PLAIN_FORMAT) {
    if (format?.startsWith('cleric-model/')) {
      const what = `Model format ${format}; this version reads ${PLAIN_FORMAT} and ${FORMAT}`
      throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', what)
    }
    throw new CorruptDataError(
      'ERR_MODEL_CORRUPT',
      'Not a cleric model file (its metadata names no cleric-model format)',
    )
  }
  const model = format === FORMAT ? await unpack(withoutChecksum(bytes, file)) : file
  const found = modelHash(file.metadata.config ?? '', model)
  if (found !== hash) throw damaged(`its data hash to ${found}, not ${hash}`)
  return model
}

function damaged(what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `The model file is damaged: ${what}`)
}

/** The file's tensors but for the checksum, which is found right. */
function withoutChecksum(bytes: Uint8Array, file: Safetensors): Safetensors {
  const stated = file.raw.get(CHECKSUM)
  if (!stated || stated.byteOffset + stated.length !== bytes.byteOffset + bytes.length) throw damaged('it is cut short')
  const found = new Sha256().update(bytes.subarray(0, bytes.length - stated.length)).bytes()
  if (stated.length !== found.length || found.some((byte, i) => byte !== stated[i])) {
    throw damaged('its checksum is another')
  }
  const [tensors, raw] = [new Map(file.tensors), new Map(file.raw)]
  for (const map of [tensors, raw]) map.delete(CHECKSUM)
  return { metadata: file.metadata, tensors, raw }
}

/**
 * SHA-256 over the configuration and, by name, each tensor's name, type, shape and bytes. These decide a model's
 * output; how its file is laid out doesn't matter.
 */
export function modelHash(config: string, { tensors, raw }: Safetensors): string {
  const utf8 = new TextEncoder()
  const hash = new Sha256().update(utf8.encode(config))
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, shape } = tensors.get(name) as StoredTensor
    hash.update(utf8.encode(`\n${name} ${dtype} ${shape.join(',')}\n`)).update(raw.get(name) as Uint8Array)
  }
  return hash.hex()
}

/** Checks the parameters that the host uses; those of the network are checked where its graph is built. */
function checkGains(parameters: Parameters, { levels, M }: ModelConfig): void {
  for (const name of ['log_gain', 'log_inv']) {
    const { shape } = parameters.get(name)
    if (shape.length !== 2 || shape[0] !== levels || shape[1] !== M) {
      const what = `shape [${shape.join(', ')}], which does not fit [${levels}, ${M}]`
      throw new CorruptDataError('ERR_MODEL_CORRUPT', `Parameter ${name} has ${what}`)
    }
  }
}

/** A loop, as `every` takes five times as long and models have millions of weights. */
function isFiniteThroughout(data: Float32Array): boolean {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false
  return true
}

/** All tensors by kind; a float that is not finite would only show as a tile that can't be decoded. */
function parametersOf({ tensors }: Safetensors, yTables: CdfTables): Parameters {
  for (const [name, { data }] of tensors) {
    if (data instanceof Float32Array && !isFiniteThroughout(data)) {
      throw new CorruptDataError('ERR_MODEL_CORRUPT', `Parameter ${name} is not finite`)
    }
  }
  const missing = (kind: string, name: string) =>
    new CorruptDataError('ERR_MODEL_CORRUPT', `The model file has no ${kind} tensor ${JSON.stringify(name)}`)
  const zones = { shape: [SCALE_COUNT], data: deadZones(yTables) }
  return {
    get(name) {
      if (name === DEAD_ZONE_TABLE) return zones
      const tensor = tensors.get(name)
      if (!(tensor?.data instanceof Float32Array)) throw missing('float', name)
      return { shape: tensor.shape, data: tensor.data }
    },
    integers(name) {
      const tensor = tensors.get(name)
      if (!(tensor?.data instanceof Int32Array)) throw missing('integer', name)
      return { shape: tensor.shape, data: tensor.data }
    },
  }
}

/**
 * The tables as they are in the file. The coder checks whether they are sound, as it must not trust its callers; here
 * only their presence and type are checked, to name the damage.
 */
function readTables(file: Safetensors, prefix: string, count: number): CdfTables {
  const column = (name: string, length?: number): Int32Array => {
    const data = file.tensors.get(`${prefix}.${name}`)?.data
    if (!(data instanceof Int32Array) || (length !== undefined && data.length !== length)) {
      throw new CorruptDataError('ERR_MODEL_CORRUPT', `The model file lacks ${prefix}.${name} for ${count} tables`)
    }
    return data
  }
  return {
    values: column('values'),
    offset: column('offset', count),
    size: column('size', count),
    min: column('min', count),
  }
}
