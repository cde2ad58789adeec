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

/** Largest side of an image that it takes as one tile. */
export const CLERIC_MAX_SIDE = MAX_TILE_SIDE

/**
 * Results are never cached: the code they depend on is what is being worked on.
 *
 * @param name where several models are compared
 */
export function clericCodec(codec: PayloadCodec, name?: string): BenchCodec {
  const { model, device } = codec
  return {
    ...CLERIC_FACTS,
    ...(name === undefined ? {} : { id: name, label: name }),
    version: `model ${model.name} (${model.hash.slice(0, 16)}) on ${device.name}`,
    commands: ['encodeTile(image, { quality: {setting} })', 'decodeTile(coded)'],
    cacheable: false,
    // As encodeTile and decodeTile of the public API: a tile with its head.
    encode: async (image, quality, signal) => {
      const { width, height } = image
      const payload = await codec.encodePayload(image, quality, signal)
      return writeTile({ width, height, quality, modelId: modelId(model.hash) }, payload)
    },
    decode: (bytes, _size, signal) => {
      const { head, payload } = readTile(bytes)
      return codec.decodePayload(payload, head, signal)
    },
  }
}
