/**
 * Who may ask: by the Host header, which tells pages that reach this server under a name of their own (DNS rebinding),
 * and by a token. And what browsers are told about the answers.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { BAD_TILES_HEADER } from './answers.js'
import { Refusal } from './refusal.js'

/** What the page needs, and nothing from elsewhere. WebAssembly and workers are for decoding in the browser. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "img-src 'self' blob: data:",
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
].join('; ')

const COOKIE = 'cleric_token'
/** Milliseconds without progress after which the connection of a client that doesn't read its answer is closed. */
const STALLED = 60_000

export interface GuardOptions {
  readonly allowHosts: readonly string[]
  readonly cors: readonly string[]
  readonly token: string | undefined
}

export async function guard(server: FastifyInstance, options: GuardOptions): Promise<void> {
  server.addHook('onRequest', async (request) => {
    if (!isAllowedHost(request.headers.host ?? '', options.allowHosts)) throw forbiddenHost(request)
  })
  if (options.cors.length > 0) {
    await server.register(cors, {
      origin: options.cors.includes('*') ? '*' : [...options.cors],
      methods: ['GET', 'HEAD'],
      allowedHeaders: ['authorization', 'if-none-match', 'if-range', 'range'],
      exposedHeaders: ['accept-ranges', 'content-range', 'etag', 'last-modified', 'link', BAD_TILES_HEADER],
      maxAge: 600,
    })
  }
  if (options.token !== undefined) await askForToken(server, options.token)
  server.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
    reply.header('referrer-policy', 'no-referrer')
    reply.header('content-security-policy', CONTENT_SECURITY_POLICY)
    reply.header('cross-origin-resource-policy', options.cors.length > 0 ? 'cross-origin' : 'same-origin')
    reply.raw.setTimeout(STALLED, () => reply.raw.destroy())
  })
}

function forbiddenHost(request: FastifyRequest): Refusal {
  const name = nameOfHost(request.headers.host ?? '')
  const what = name === '' ? 'The request names no host' : `This server is not known as ${name.slice(0, 253)}`
  return new Refusal(403, 'ERR_FORBIDDEN_HOST', `${what}; start it with --allow-host NAME to have it answer`)
}

/**
 * Whether the server goes by the name in a Host header. A page of another site can only reach it by a name, which its
 * owner makes point here: addresses in digits are safe, and names that are this machine's for certain.
 *
 * @param allowed further names; "*.example.org" for all below one, "*" for all
 */
export function isAllowedHost(header: string, allowed: readonly string[]): boolean {
  const host = nameOfHost(header)
  if (host === '') return false
  if (isIP(host) !== 0 || host === 'localhost' || host.endsWith('.localhost')) return true
  if (host === hostname().toLowerCase()) return true
  return allowed.some((entry) => {
    const name = entry.toLowerCase()
    return name === '*' || name === host || (name.startsWith('*.') && host.endsWith(name.slice(1)))
  })
}

/** The name or address in a Host header, in lower case, without port, brackets and final dot; '' if it is none. */
function nameOfHost(header: string): string {
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(header) ?? []
  return (v6 ?? name ?? '').toLowerCase().replace(/\.$/, '')
}

/** Refuses who has not the token: as `Authorization: Bearer`, as the cookie of a page opened with `?token=`. */
async function askForToken(server: FastifyInstance, token: string): Promise<void> {
  const wanted = digest(token)
  const isRight = (given: string | undefined) => given !== undefined && timingSafeEqual(digest(given), wanted)
  await server.register(cookie)
  server.addHook('onRequest', async (request, reply) => {
    const { token: asked } = request.query as { token?: unknown }
    if (typeof asked === 'string' && isRight(asked)) {
      // Not for scripts, nor for requests that other sites' pages make.
      reply.setCookie(COOKIE, asked, { httpOnly: true, sameSite: 'strict', path: '/' })
      return
    }
    const [, bearer] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    if (isRight(bearer) || isRight(request.cookies[COOKIE])) return
    reply.header('www-authenticate', 'Bearer realm="cleric"')
    throw new Refusal(401, 'ERR_UNAUTHORIZED', 'This server asks for its token: open the page as /?token=TOKEN')
  })
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
