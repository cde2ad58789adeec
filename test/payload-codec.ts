/** A lossless stand-in for the codec, for tests of what stands around it. */
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import type { PayloadCodec } from '../src/codec/codec.js'
import { CorruptDataError, throwIfAborted } from '../src/errors.js'
import type { Image } from '../src/image/image.js'

export interface TestCodec extends PayloadCodec {
  encoded: number
  decoded: number
  /** Most calls that were under way at the same time. */
  overlapping: number
}

/** Deflates pixels behind a CRC-32. `delayMs` makes it slow; `name` is the model's. */
export function losslessCodec(delayMs = 0, name = 'lossless'): TestCodec {
  let underWay = 0
  const work = async <T>(signal: AbortSignal | undefined, make: () => T): Promise<T> => {
    codec.overlapping = Math.max(codec.overlapping, ++underWay)
    try {
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
      throwIfAborted(signal)
      return make()
    } finally {
      underWay--
    }
  }
  const codec: TestCodec = {
    model: { name, hash: Buffer.from(name.padEnd(32).slice(0, 32)).toString('hex') },
    device: { kind: 'webgpu', name: 'test' },
    tilesInFlight: 2,
    encoded: 0,
    decoded: 0,
    overlapping: 0,
    encodePayload: (image, _quality, signal) =>
      work(signal, () => {
        codec.encoded++
        const head = Buffer.alloc(4)
        head.writeUInt32LE(crc32(image.data))
        return Buffer.concat([head, deflateRawSync(image.data, { level: 1 })])
      }),
    async encodeCheckedPayload(image, quality, { signal } = {}) {
      // Whatever a test has put in its place.
      const payload = await this.encodePayload(image, quality, signal)
      return { payload, psnr: Number.POSITIVE_INFINITY, codec: 'cleric' }
    },
    decodePayload: (payload, { width, height }, signal) =>
      work(signal, (): Image => {
        codec.decoded++
        try {
          const data = inflateRawSync(payload.subarray(4), { maxOutputLength: width * height * 3 })
          if (data.length === width * height * 3 && crc32(data) === Buffer.from(payload).readUInt32LE(0)) {
            return { data, width, height, channels: 3 }
          }
        } catch {}
        throw new CorruptDataError('ERR_CORRUPT_TILE', 'The tile is damaged')
      }),
  }
  return codec
}
