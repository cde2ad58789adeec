/** Files as they are: archives, in ranges, for readers that decode them themselves; and the model that they need. */
import { parse } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fresh from 'fresh'
import parseRange from 'range-parser'
import type { Archive } from '../archive/archive.js'
import { DEFAULT_MODEL_FILE, modelBytes, modelPath } from '../model/model-bytes.js'
import { readSafetensors } from '../model/safetensors.js'
import { ASK_AGAIN } from './answers.js'
import type { Lease, Library } from './library.js'
import { missing, Refusal } from './refusal.js'

/** Bytes of an archive that are in memory at a time, for each client. */
const CHUNK = 2 ** 18

export function serveFiles(server: FastifyInstance, library: Library, model: ModelFile): void {
  server.get<{ Params: { '*': string } }>('/files/*', { compress: false }, async (request, reply) => {
    const lease = await library.lease(request.params['*'])
    const archive = lease?.slide.archive
    let stream: Readable | null = null
    try {
      if (!lease || !archive) throw missing('No such archive')
      const etag = `"${archive.version}"`
      reply.header('etag', etag).header('accept-ranges', 'bytes').header('cache-control', ASK_AGAIN)
      reply.type('application/octet-stream')
      if (fresh(request.headers, { etag })) return reply.code(304).send()
      const range = rangeOf(request, archive.bytes, etag)
      if (range === null) {
        reply.header('content-range', `bytes */${archive.bytes}`)
        throw new Refusal(416, 'ERR_BAD_REQUEST', `The archive has ${archive.bytes} bytes`)
      }
      const { start, end, isPart } = range
      if (isPart) {
        reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${archive.bytes}`)
      }
      reply.header('content-length', end - start)
      // The framework takes no body for one of no bytes; a stream it doesn't measure.
      if (request.method === 'HEAD') return reply.send(Readable.from([]))
      stream = streamOf(lease, archive, start, end, library)
      // Also if nobody has read of it.
      stream.once('close', () => lease[Symbol.dispose]())
      return reply.send(stream)
    } finally {
      if (!stream) lease?.[Symbol.dispose]()
    }
  })

  server.get<{ Params: { name: string } }>('/models/:name', { compress: false }, async (request, reply) => {
    if (request.params.name !== `${await model.hash()}.safetensors`) throw missing('The server has no such model')
    const { dir, base } = parse(model.file)
    return reply.sendFile(base, dir, { cacheControl: true, maxAge: '1y', immutable: true })
  })
}

/** The model that the server decodes with, as a file. */
export class ModelFile {
  readonly file: string
  #hash: Promise<string | null> | null = null

  /** @param model its path or name; default: the model that ships */
  constructor(model: string | undefined) {
    this.file = model === undefined ? fileURLToPath(DEFAULT_MODEL_FILE) : modelPath(model)
  }

  /** By which archives name it; null if it can't be read. */
  hash(): Promise<string | null> {
    this.#hash ??= modelBytes(this.file).then(
      (bytes) => readSafetensors(bytes).metadata.hash ?? null,
      () => {
        // The file may be there the next time.
        this.#hash = null
        return null
      },
    )
    return this.#hash
  }
}

/**
 * The bytes that are asked for, all of them if it is no single range or, by If-Range, one of another version; null if the
 * file has none of them.
 */
function rangeOf(
  request: FastifyRequest,
  size: number,
  etag: string,
): { start: number; end: number; isPart: boolean } | null {
  const { range, 'if-range': condition } = request.headers
  const whole = { start: 0, end: size, isPart: false }
  if (range === undefined || (condition !== undefined && condition !== etag)) return whole
  const ranges = parseRange(size, range, { combine: true })
  if (ranges === -1) return null
  const [only] = ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1 ? [] : ranges
  // A range that all of a small file is, is one nonetheless: clients take another status for a server that knows none.
  return only ? { start: only.start, end: only.end + 1, isPart: true } : whole
}

/** The bytes from `start` to before `end` of the file that is open, though another may have its name by now. */
function streamOf(lease: Lease, archive: Archive, start: number, end: number, library: Library): Readable {
  async function* chunks() {
    try {
      for (let at = start; at < end; at += CHUNK) yield await archive.readBytes(at, Math.min(CHUNK, end - at))
    } catch (error) {
      // The answer breaks off, so that nobody takes bytes of two versions for a file.
      if ((error as { code?: unknown }).code === 'ERR_FILE_CHANGED') library.forget(lease.slide.name, lease.slide)
      throw error
    }
  }
  return Readable.from(chunks(), { objectMode: false, highWaterMark: CHUNK })
}
