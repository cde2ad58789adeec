/** The server of the viewer's page and of slides: pictures of any part of them, made here, and archives as they are. */
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { checkInteger, checkOneOf, checkOptions, checkString, type OptionChecks, wrongType } from '../arguments.js'
import { type CodecChoice, codecUseChecks } from '../codec/arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import { TileCache } from '../image/tile-cache.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { answerBrokenRequest, answerErrors, failureOf } from './answers.js'
import { ModelFile, serveFiles } from './file-routes.js'
import { guard } from './guards.js'
import { serveIiif } from './iiif-routes.js'
import { Library } from './library.js'
import { servePage } from './page.js'
import { serveSlides } from './slide-routes.js'

/** Room for tiles and heads of archives, unless another is given: some 600 decoded tiles of 512 x 512 pixels. */
export const DEFAULT_CACHE_BYTES = 2 ** 29

/** Milliseconds for the head of a request, and for all of it. */
const REQUEST_TIMEOUT = 10_000
/** How often connections are looked at that take longer. */
const TIMEOUT_CHECKS = 2_000
/** Bytes of a request's body: there is none. */
const BODY_LIMIT = 1024
const MAX_CONNECTIONS = 2048
/** Letters of a part of an address: a name with folders, escaped. */
const MAX_NAME = 8192

export interface ServerOptions extends CodecChoice {
  /** An open codec to decode with; it isn't closed. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
  /** Most bytes of tiles, decoded and encoded, and heads of archives to keep, of all together; default 512 MiB. */
  readonly cacheBytes?: number | undefined
  /**
   * What becomes of slides' ICC profiles in tiles whose address doesn't say (`?icc=srgb`); default "keep". The viewer's
   * page asks for sRGB.
   */
  readonly icc?: IccMode | undefined
  /**
   * Names that requests may have in their Host header, besides addresses in digits, localhost, and the machine's own
   * name: `slides.example.org`, `*.example.org`, or `*` for any.
   */
  readonly allowHosts?: readonly string[] | undefined
  /** Origins whose pages may read the answers, such as `https://viewer.example.org`, or `*` for any; default none. */
  readonly cors?: readonly string[] | undefined
  /** Who asks has to have it; default: nobody has to. */
  readonly token?: string | undefined
  /** Is told of errors that are bugs, or of this machine: answers don't tell them. */
  readonly report?: ((error: unknown) => void) | undefined
}

const checkTexts = (value: unknown, name: string) => {
  if (!Array.isArray(value)) throw wrongType('a list of strings', name, value)
  for (const [i, text] of value.entries()) checkString(text, `${name}[${i}]`)
}

const SERVER_CHECKS: OptionChecks<ServerOptions> = {
  ...codecUseChecks(),
  cacheBytes: (value, name) => checkInteger(value, name, 0, Number.MAX_SAFE_INTEGER),
  icc: (value, name) => checkOneOf(value, name, ICC_MODES),
  allowHosts: checkTexts,
  cors: checkTexts,
  token: checkString,
  report: (value, name) => {
    if (typeof value !== 'function') throw wrongType('a function', name, value)
  },
}

/**
 * Makes the server of the slides under `path`; the caller listens and closes.
 *
 * @throws what opening the path throws, if it is a single slide
 * @example
 * const server = await createViewerServer('slides/')
 * await server.listen({ host: '127.0.0.1', port: 8080 })
 */
export async function createViewerServer(path: string, options: ServerOptions = {}): Promise<FastifyInstance> {
  const {
    cacheBytes = DEFAULT_CACHE_BYTES,
    icc = 'keep',
    allowHosts = [],
    cors = [],
    token,
    report = () => {},
    ...choice
  } = checkOptions(options, SERVER_CHECKS)
  const library = await Library.open(path, { ...choice, cache: new TileCache(cacheBytes) })
  const server = Fastify({
    forceCloseConnections: true,
    // A proxy on this machine tells under which name and protocol it is reached.
    trustProxy: 'loopback',
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT,
    http: { headersTimeout: REQUEST_TIMEOUT, connectionsCheckingInterval: TIMEOUT_CHECKS },
    routerOptions: { maxParamLength: MAX_NAME },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _request, reply) => {
      const { code, message } = failureOf(error)
      const sent = reply as FastifyReply
      sent.code(400).header('cache-control', 'no-store').send({ code, message })
    },
  })
  server.server.maxConnections = MAX_CONNECTIONS
  server.addHook('onClose', async () => library.close())
  answerErrors(server, library.hiddenPaths, report)
  await guard(server, { allowHosts, cors, token })
  await servePage(server)
  const model = new ModelFile(choice.model)
  serveSlides(server, library, icc, model)
  serveFiles(server, library, model)
  serveIiif(server, library, icc)
  return server
}
