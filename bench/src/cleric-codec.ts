/** This project's codec, as the bench sees it. */
import { MAX_TILE_SIDE, modelId, type PayloadCodec, readTile, writeTile } from 'cleric/internal'
import type { BenchCodec, CodecFacts } from './codec.js'

export const CLERIC_FACTS: CodecFacts = {
  id: 'cleric',
  label: 'CLERIC',
  chroma: '4:4:4',
  setting: 'quality',
  settings: [0, 15, 30, 45, 60, 75, 88, 100],
  step: 0.01,
}

/** What users of archives get: a tile by the network or, where that costs less, by another codec. */
export const CHECKED_FACTS: CodecFacts = { ...CLERIC_FACTS, id: 'cleric-checked', label: 'CLERIC, checked tiles' }

/** Largest side of an image that it takes as one tile. */
export const CLERIC_MAX_SIDE = MAX_TILE_SIDE

/**
 * The network alone. Results are never cached: the code they depend on is what is being worked on.
 *
 * @param name where several models are compared
 */
export function clericCodec(codec: PayloadCodec, name?: string): BenchCodec {
  return {
    ...CLERIC_FACTS,
    ...(name === undefined ? {} : { id: name, label: name }),
    ...ofModel(codec, 'encodeTile', (image, quality, signal) => codec.encodePayload(image, quality, signal)),
  }
}

/** Each tile stored as `compress` stores it, whatever came before it: by the codec whose bits + lambda * error are least. */
export function checkedCodec(codec: PayloadCodec): BenchCodec {
  return {
    ...CHECKED_FACTS,
    ...ofModel(codec, 'encodeCheckedTile', async (image, quality, signal) => {
      const { payload } = await codec.encodeCheckedPayload(image, quality, signal ? { signal } : {})
      return payload
    }),
  }
}

/** @param encoder the function of the public API that makes a tile of such payloads */
function ofModel(
  codec: PayloadCodec,
  encoder: string,
  encode: PayloadCodec['encodePayload'],
): Omit<BenchCodec, keyof CodecFacts> {
  const { model, device } = codec
  return {
    version: `model ${model.name} (${model.hash.slice(0, 16)}) on ${device.name}`,
    commands: [`${encoder}(image, { quality: {setting} })`, 'decodeTile(coded)'],
    cacheable: false,
    // As those functions: a tile with its head.
    encode: async (image, quality, signal) => {
      const { width, height } = image
      const payload = await encode(image, quality, signal)
      return writeTile({ width, height, quality, modelId: modelId(model.hash) }, payload)
    },
    decode: (bytes, _size, signal) => {
      const { head, payload } = readTile(bytes)
      return codec.decodePayload(payload, head, signal)
    },
  }
}
