/** The viewer's page, and tiles for it: DeepZoom, decoded here. */
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { checksOf, checksWindow } from '../archive/checks-window.js'
import { checkInteger, checkOneOf, checkOptions, type OptionChecks } from '../arguments.js'
import { type CodecChoice, codecUseChecks } from '../codec/arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import { ClericError } from '../errors.js'
import type { Size } from '../image/image.js'
import { TileCache } from '../image/tile-cache.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { describeDeepZoom } from './deep-zoom.js'
import { Library } from './library.js'
import type { TileFormat } from './tile-encoder.js'

/** The page, as `npm run build:viewer` made it. */
const PAGE = fileURLToPath(new URL('../../dist/viewer', import.meta.url))
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.map': 'application/json',
}
/** Tiles of a file never change; a changed file has another version in its tiles' addresses. */
const FOR_EVER = 'private, max-age=31536000, immutable'
const ASK_AGAIN = 'no-cache'

/** Room for decoded tiles, unless another is given: some 650 tiles of 512 x 512 pixels. */
export const DEFAULT_CACHE_BYTES = 2 ** 29

export interface ServerOptions extends CodecChoice {
  /** An open codec to decode with; it isn't closed. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
  /** Most bytes of decoded tiles to keep, of all archives together; default 512 MiB. */
  readonly cacheBytes?: number | undefined
  /**
   * What becomes of slides' ICC profiles in tiles whose address doesn't say (`?icc=srgb`); default "keep". The viewer's
   * page asks for sRGB.
   */
  readonly icc?: IccMode | undefined
}

const SERVER_CHECKS: OptionChecks<ServerOptions> = {
  ...codecUseChecks(),
  cacheBytes: (value, name) => checkInteger(value, name, 0, Number.MAX_SAFE_INTEGER),
  icc: (value, name) => checkOneOf(value, name, ICC_MODES),
}

/**
 * Makes the server of the archives under `path`; the caller listens and closes.
 *
 * @example
 * const server = await createViewerServer('slides/')
 * await server.listen({ host: '127.0.0.1', port: 8080 })
 */
export async function createViewerServer(path: string, options: ServerOptions = {}): Promise<FastifyInstance> {
  const { cacheBytes = DEFAULT_CACHE_BYTES, icc: usual = 'keep', ...choice } = checkOptions(options, SERVER_CHECKS)
  const library = await Library.open(path, { ...choice, cache: new TileCache(cacheBytes) })
  const server = Fastify({ forceCloseConnections: true })
  server.addHook('onClose', async () => library.close())
  server.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
    reply.header(
      'content-security-policy',
      "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'",
    )
  })
  server.setErrorHandler((error: unknown, _request, reply) => {
    const { statusCode = 500 } = error as { statusCode?: number }
    const code = error instanceof ClericError ? error.code : statusCode < 500 ? 'ERR_BAD_REQUEST' : 'ERR_INTERNAL'
    const message = error instanceof Error ? error.message : String(error)
    // Caches must not keep it: what failed may work the next time.
    reply.code(statusCode).removeHeader('etag').header('cache-control', 'no-store').send({ code, message })
  })

  for (const name of readdirSync(PAGE)) {
    const body = readFileSync(join(PAGE, name))
    const type = TYPES[extname(name)] ?? 'application/octet-stream'
    const address = name === 'index.html' ? '/' : `/${name}`
    server.get(address, (_request, reply) => reply.type(type).header('cache-control', ASK_AGAIN).send(body))
  }

  server.get('/slides', async (_request, reply) => {
    reply.header('cache-control', ASK_AGAIN)
    return library.list()
  })

  server.get<{ Querystring: Record<string, unknown> }>('/slide', async (request, reply) => {
    const { name } = request.query
    // It is a list if the address has the parameter twice.
    if (typeof name !== 'string') return missing(reply)
    const facts = await library.visit(name, async ({ archive, encoder }) => ({
      name,
      version: archive.version,
      bytes: archive.bytes,
      bpp: archive.bpp,
      quality: archive.quality,
      model: archive.model,
      mpp: archive.mpp,
      objectivePower: archive.objectivePower,
      icc: await encoder.best(),
      levels: archive.levels,
    }))
    reply.header('cache-control', ASK_AGAIN)
    return facts ?? missing(reply)
  })

  // DeepZoom: NAME.dzi describes, NAME_files/LEVEL/COLUMN_ROW.jpeg are the tiles.
  server.get<{ Params: { '*': string } }>('/deepzoom/*', async (request, reply) => {
    const address = request.params['*']
    const document = /^(.+)\.dzi$/.exec(address)
    const tile = /^(.+)_files\/(\d{1,2})\/(\d{1,7})_(\d{1,7})\.(jpeg|png)$/.exec(address)
    const name = document?.[1] ?? tile?.[1]
    if (name === undefined) return missing(reply)
    const asked = iccOf(request)
    const icc = asked === undefined ? usual : asked
    if (icc === null) return reply.code(400).send(BAD_ICC)
    const answer = await library.visit(name, async ({ archive: { version, levels }, pyramid, encoder }) => {
      if (!tile) {
        const document = describeDeepZoom(levels[0] as Size, 'jpeg')
        return reply.type('application/xml').header('cache-control', ASK_AGAIN).send(document)
      }
      const [level, column, row] = tile.slice(2, 5).map(Number) as [number, number, number]
      const etag = `"${version}-${level}-${column}-${row}-${icc}"`
      reply.header('etag', etag).header('cache-control', isOfVersion(request, version) ? FOR_EVER : ASK_AGAIN)
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      const made = await pyramid.tile(level, column, row, untilLeft(reply))
      if (!made) return missing(reply)
      const format = tile[5] as TileFormat
      return reply.type(`image/${format}`).send(await encoder.encode(made.image, format, icc))
    })
    return answer ?? missing(reply)
  })

  server.get<{ Params: { '*': string }; Querystring: Record<string, unknown> }>('/checks/*', async (request, reply) => {
    const answer = await library.visit(request.params['*'], async ({ archive }) => {
      const asked = new Map(Object.entries(request.query).filter(([key]) => key !== 'v'))
      const body = asked.size === 0 ? checksOf(archive) : checksWindow(archive, asked)
      if (typeof body === 'string') return reply.code(400).send({ code: 'ERR_BAD_REQUEST', message: body })
      return reply.header('cache-control', isOfVersion(request, archive.version) ? FOR_EVER : ASK_AGAIN).send(body)
    })
    return answer ?? missing(reply)
  })
  return server
}

const BAD_ICC = { code: 'ERR_BAD_REQUEST', message: `Expected one of ${ICC_MODES.join(', ')} for icc` }

/** What the address asks for; undefined if it doesn't, null if that is nothing there is. */
function iccOf(request: FastifyRequest): IccMode | null | undefined {
  const { icc } = request.query as { icc?: unknown }
  return icc === undefined ? undefined : (ICC_MODES.find((mode) => mode === icc) ?? null)
}

/** Whether the address names the current version; a page that was loaded earlier may ask for an older one. */
function isOfVersion(request: FastifyRequest, version: string): boolean {
  return (request.query as { v?: unknown }).v === version
}

/** Fires when the client disconnects before the answer: an overview may take many tiles, which nobody would see. */
function untilLeft(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}

function missing(reply: FastifyReply) {
  return reply
    .code(404)
    .removeHeader('etag')
    .header('cache-control', ASK_AGAIN)
    .send({ code: 'ERR_NOT_FOUND', message: 'No such slide or tile' })
}
