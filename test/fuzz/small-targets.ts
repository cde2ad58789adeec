import { readSlideFacts, readTileHead, writeSlideFacts, writeTileHead } from '../../src/archive/description.js'
import { readPayload, readTile, writePayload, writeTile } from '../../src/codec/bitstream.js'
import { decodePalette, encodePalette } from '../../src/codec/palette.js'
import { encodeJournalHead, encodeRecord, readFingerprint, readRecords } from '../../src/compress/journal.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { ClericError } from '../../src/errors.js'
import { UrlBytes } from '../../src/files/url-bytes.js'
import { fill, paste } from '../../src/image/draw.js'
import type { Target } from './fuzz.js'
import { memoryFile } from './memory-file.js'

const text = (string: string) => new TextEncoder().encode(string)

/** Heads, payloads and palettes of tiles; what the network makes of the symbols is the entropy coder's target. */
export const tileTarget: Target = {
  codes: /^ERR_(CORRUPT_TILE|ARCHIVE_UNSUPPORTED)$/,
  covers: ['src/codec/bitstream.ts', 'src/codec/palette.ts'],
  async seeds() {
    const image = fill(40, 24, { red: 1, green: 2, blue: 3 })
    const seeds: Uint8Array[] = []
    for (const colours of [1, 2, 4, 16, 200]) {
      for (let i = 0; i < colours; i++)
        paste(fill(1, 1, { red: i, green: 9, blue: 9 }), image, i % 40, Math.floor(i / 40))
      const stream = (await encodePalette(image)) as Uint8Array
      const payload = writePayload({ kind: 'palette', crc: crc32c(stream), stream })
      const head = { width: 40, height: 24, quality: 60, modelId: '0011223344556677' }
      seeds.push(payload, writeTile(head, payload))
    }
    return seeds
  },
  async parse(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const isTile = bytes.length > 26 && view.getUint32(0, true) === 0x54524c43
    // Behind right checksums, so that what they cover is looked at.
    const isRight = bytes.length > 0 && (bytes[bytes.length - 1] as number) % 4 !== 3
    if (isTile && isRight) view.setUint32(22, crc32c(bytes.subarray(0, 22)), true)
    const payload = isTile ? readTile(bytes).payload : bytes
    if (isRight && payload.length > 10) {
      const inner = new DataView(payload.buffer, payload.byteOffset, payload.length)
      inner.setUint32(2, crc32c(payload.subarray(10)), true)
      inner.setUint32(6, payload.length - 10, true)
    }
    const { kind, stream } = readPayload(payload)
    if (kind === 'palette') await decodePalette(stream, { width: 40, height: 24 })
  },
}

export const jsonTarget: Target = {
  codes: /./,
  covers: ['src/archive/description.ts'],
  async seeds() {
    return [
      text(writeTileHead({ model: { name: 'm', hash: '00' }, quality: 60 })),
      text(
        writeSlideFacts({
          ...{ tile: 64, downsamples: [1, 4.01], mpp: { x: 0.5, y: 0.25 }, objectivePower: null },
          ...{ background: { red: 255, green: 255, blue: 255 }, properties: { Ü: 'ü' } },
          source: { format: 'test', bytes: 5 },
        }),
      ),
    ]
  },
  parse(bytes) {
    const json = new TextDecoder().decode(bytes)
    for (const read of [readTileHead, readSlideFacts]) {
      try {
        const facts = read(json)
        if ('tile' in facts && facts.tile % 16 !== 0) throw new TypeError('a tile of another side is taken')
      } catch (error) {
        // The reader of archives gives it a code; a bug of ours would be an error of another class.
        if (error instanceof TypeError || error instanceof RangeError) throw error
      }
    }
  },
}

export const journalTarget: Target = {
  // It never fails: what isn't whole isn't there.
  codes: /^never$/,
  covers: ['src/compress/journal.ts'],
  async seeds() {
    const blank = {
      offset: 0,
      length: 0,
      colour: Uint8Array.of(9, 8, 7, 1),
      crc: 0,
      check: new Uint8Array(2),
      seen: new Uint8Array(8),
    }
    const stored = {
      offset: 500,
      length: 9,
      colour: new Uint8Array(4),
      crc: 77,
      check: Uint8Array.of(140, 1),
      seen: new Uint8Array(8),
    }
    const records = [blank, stored, { ...stored, offset: 509, colour: Uint8Array.of(0, 0, 0, 3) }]
    const bytes = [encodeJournalHead(new Uint8Array(32).fill(7), 3), ...records.map((each, i) => encodeRecord(i, each))]
    return [Buffer.concat(bytes), bytes[0] as Uint8Array, new Uint8Array(0)]
  },
  async parse(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const isRight = bytes.length >= 48 && (bytes[bytes.length - 1] as number) % 4 !== 3
    if (isRight) view.setUint32(44, crc32c(bytes.subarray(0, 44)), true)
    for (let at = 48; isRight && at + 40 <= bytes.length; at += 40) {
      view.setUint32(at, (at - 48) / 40, true)
      view.setUint32(at + 36, crc32c(bytes.subarray(at, at + 36)), true)
    }
    await readFingerprint(memoryFile(bytes))
    let records = 0
    for await (const { length, colour } of readRecords(memoryFile(bytes))) {
      if ((colour[3] as number) > 3 || length > 0 !== (colour[3] === 0 || colour[3] === 3)) throw new Error('unsound')
      records++
    }
    if (48 + 32 * records > Math.max(48, bytes.length)) throw new Error('more records than there are bytes')
  },
}

/** Answers of a server: the status, then headers line by line, then an empty line and the body. */
export const rangesTarget: Target = {
  codes: /^ERR_(NETWORK|ARCHIVE_UNSUPPORTED|ARCHIVE_CORRUPT|FILE_CHANGED)$/,
  covers: ['src/files/url-bytes.ts', 'src/files/http.ts'],
  async seeds() {
    return [
      'content-range: bytes 0-4/5\netag: "a"\n\nhello',
      'content-range: bytes 0-4/500\nlast-modified: Fri, 27 Nov 2026 22:00:00 GMT\n\nhello',
      'content-range: bytes */500\n\n',
      'content-range: bytes 0-65535/100000\netag: W/"a"\n\nhello',
      'retry-after: 5\n\n',
      'retry-after: Fri, 27 Nov 2026 22:00:00 GMT\n\n',
      'content-range: bytes 70000-70004/100000\netag: "a"\n\nhello',
      'content-range: bytes 70000-70004/100000\netag: "b"\n\nhello',
    ].flatMap((rest) =>
      ['206', '200', '416', '412', '503', '404', '206 later', '200 later', '412 later'].map((status) =>
        text(`${status}\n${rest}`),
      ),
    )
  },
  async parse(bytes) {
    const lines = new TextDecoder('latin1').decode(bytes).split('\n')
    const end = lines.indexOf('')
    // An answer to the first request, or, after a sound one, to the second.
    const isLater = lines[0]?.endsWith(' later') ?? false
    const status = Number(lines[0]?.replace(' later', ''))
    const answer = () => {
      const headers = new Headers()
      for (const line of lines.slice(1, end < 0 ? undefined : end)) {
        try {
          headers.append(line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1))
        } catch {
          // No header that a client would let through.
        }
      }
      const hasBody = status !== 204 && status !== 205 && status !== 304
      return new Response(hasBody ? lines.slice(end + 1).join('\n') : null, {
        headers,
        status: Number.isInteger(status) && status >= 200 && status <= 599 ? status : 206,
      })
    }
    const { fetch } = globalThis
    let asked = 0
    globalThis.fetch = async () => (asked++ === 0 && isLater ? soundStart() : answer())
    try {
      const source = await UrlBytes.open('http://server/file', undefined, async () => {})
      // What was fetched first, and something else.
      await source.read(0, Math.min(5, source.size)).catch(rethrowUnlessCoded)
      const offset = Math.min(70_000, source.size)
      await source.read(offset, Math.min(5, source.size - offset))
    } finally {
      globalThis.fetch = fetch
    }
  },
}

/** The first bytes of a file of 100,000. */
function soundStart(): Response {
  const headers = { 'content-range': 'bytes 0-65535/100000', etag: '"a"' }
  return new Response(new Uint8Array(65_536), { status: 206, headers })
}

function rethrowUnlessCoded(error: unknown): void {
  if (!(error instanceof ClericError)) throw error
}
