/**
 * Frames, the unit of what goes to and fro: a header, which is a JSON object, and a body, which is pixels.
 *
 * | bytes | |
 * |---|---|
 * | 0 to 3 | length of the header in bytes, little-endian |
 * | 4 to 7 | length of the body in bytes, little-endian |
 * | from 8 on | the header in UTF-8, then the body |
 */
import { ClericError } from '../errors.js'

/** Longest header of a frame that comes in, in bytes. */
export const MAX_HEADER_BYTES = 2 ** 20
const LENGTHS_BYTES = 8

/** A frame as bytes. `body` is not copied. */
export function encodeFrame(header: object, body: Uint8Array = new Uint8Array(0)): Uint8Array[] {
  const text = Buffer.from(JSON.stringify(header), 'utf8')
  const start = Buffer.alloc(LENGTHS_BYTES + text.length)
  start.writeUInt32LE(text.length, 0)
  start.writeUInt32LE(body.length, 4)
  text.copy(start, LENGTHS_BYTES)
  return body.length > 0 ? [start, body] : [start]
}

/**
 * The headers of the frames in a stream of requests, which have no body. What has come in of a frame is kept until the rest
 * is there: never more than one header and one chunk.
 *
 * @throws ClericError ERR_PIPE_PROTOCOL if a frame is no such frame; where the next one would begin is then unknown
 */
export async function* headersOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<Readonly<Record<string, unknown>>> {
  let parts: Uint8Array[] = []
  let length = 0
  /** Bytes that the frame in the making has in all, as far as that is known. */
  let wanted = LENGTHS_BYTES
  for await (const chunk of input) {
    parts.push(chunk)
    length += chunk.length
    if (length < wanted) continue
    let held = Buffer.concat(parts)
    for (;;) {
      wanted = held.length < LENGTHS_BYTES ? LENGTHS_BYTES : LENGTHS_BYTES + headerLength(held)
      if (held.length < wanted) break
      yield parseHeader(held.subarray(LENGTHS_BYTES, wanted))
      held = held.subarray(wanted)
      wanted = LENGTHS_BYTES
    }
    parts = [held]
    length = held.length
  }
  if (length > 0) throw broken(`the stream ended within a frame, of which it had ${length} bytes`)
}

function headerLength(start: Buffer): number {
  const [header, body] = [start.readUInt32LE(0), start.readUInt32LE(4)]
  if (header > MAX_HEADER_BYTES) throw broken(`a header of ${header} bytes; at most ${MAX_HEADER_BYTES} are taken`)
  if (body !== 0) throw broken(`a request with a body, of ${body} bytes`)
  return header
}

function parseHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let header: unknown
  try {
    header = JSON.parse(UTF8.decode(bytes))
  } catch {
    throw broken('a header that is no JSON in UTF-8')
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw broken('a header that is no JSON object')
  }
  return header as Record<string, unknown>
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

function broken(what: string): ClericError {
  return new ClericError('ERR_PIPE_PROTOCOL', `What came in is no stream of requests: ${what}`)
}
