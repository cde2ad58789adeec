/** How answers are made: what caches may keep, what isn't sent again, and one shape for all errors. */
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fresh from 'fresh'
import { ClericError } from '../errors.js'
import type { Encoded } from './served-slide.js'

/** Tiles of a file never change; a changed file has another version in its tiles' addresses. */
const FOR_EVER = 'private, max-age=31536000, immutable'
export const ASK_AGAIN = 'no-cache'

/** Header that names the tiles which are hatched in a picture. */
export const BAD_TILES_HEADER = 'cleric-bad-tiles'

/** Tiles that the header names. */
const MOST_NAMED = 64

/** A query parameter; undefined if the address has it not, or twice. */
export function queryOf(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, unknown>)[name]
  return typeof value === 'string' ? value : undefined
}

/**
 * Says of which version the answer is, and how long it may be kept: for ever only under an address that names the
 * version, as a page that was loaded earlier may ask for an older one.
 *
 * @param detail what tells the answer from others of the same slide
 * @returns whether who asks has it already: then the answer is a 304, without a body
 */
export function isKnown(request: FastifyRequest, reply: FastifyReply, version: string, detail: string): boolean {
  const etag = `"${version}-${detail}"`
  reply.header('etag', etag).header('cache-control', queryOf(request, 'v') === version ? FOR_EVER : ASK_AGAIN)
  return fresh(request.headers, { etag })
}

/** Sends a picture; one with damaged tiles says so, and is not kept: the file may be mended. */
export function sendPicture(reply: FastifyReply, type: string, { body, holes }: Encoded): FastifyReply {
  if (holes.length > 0) {
    const names = holes.slice(0, MOST_NAMED).map(({ level, column, row }) => `${level}/${column}/${row}`)
    reply.removeHeader('etag').header('cache-control', 'no-store').header(BAD_TILES_HEADER, names.join(', '))
  }
  return reply.type(type).send(body)
}

/** Fires when the client disconnects before the answer: a picture may take many tiles, which nobody would see. */
export function untilLeft(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}

/**
 * Answers every failure, those of the framework too, by `{ code, message }`.
 *
 * @param hidden what messages may not show, each with what stands in its place
 * @param report is told of failures that are bugs, or of this machine
 */
export function answerErrors(
  server: FastifyInstance,
  hidden: readonly (readonly [path: string, shown: string])[],
  report: (error: unknown) => void,
): void {
  server.setErrorHandler((error: unknown, _request, reply) => {
    const { status, code, message } = failureOf(error)
    if (code === 'ERR_INTERNAL') report(error)
    const shown = hidden.reduce((text, [path, place]) => text.replaceAll(path, place), message)
    // Caches must not keep it: what failed may work the next time.
    reply.removeHeader('etag').removeHeader('content-length').header('cache-control', 'no-store')
    if (status === 503) reply.header('retry-after', '5')
    reply
      .code(status)
      .type('application/json; charset=utf-8')
      .send({ code, message: withoutPaths(shown) })
  })
  server.setNotFoundHandler((_request, reply) => {
    const answer = { code: 'ERR_NOT_FOUND', message: 'There is nothing at this address' }
    reply.code(404).header('cache-control', 'no-store').send(answer)
  })
}

/** Answers what is no request of HTTP, or came too slowly, in the same shape: no route sees it. */
export function answerBrokenRequest(error: ConnectionError, socket: Socket): void {
  if (socket.destroyed || error.code === 'ECONNRESET') return
  const [status, code, message] = BROKEN[error.code] ?? ['400 Bad Request', 'ERR_BAD_REQUEST', 'This is no request']
  const body = JSON.stringify({ code, message })
  const head = ['content-type: application/json; charset=utf-8', `content-length: ${body.length}`, 'connection: close']
  if (socket.writable) socket.write(`HTTP/1.1 ${[status, ...head, '', body].join('\r\n')}`)
  socket.destroySoon()
}

const BROKEN: Readonly<Record<string, readonly [status: string, code: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'ERR_TOO_LARGE',
    'The address or the headers are too long',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'ERR_BAD_REQUEST', 'The request took too long to arrive'],
}

/** What an error is answered by. */
export function failureOf(error: unknown): { status: number; code: string; message: string } {
  const { statusCode, code, message } = error as { statusCode?: number; code?: unknown; message?: string }
  if (error instanceof ClericError) return { status: 500, code: error.code, message: error.message }
  if (statusCode === undefined || (statusCode >= 500 && !isOwn(code))) {
    // It may say anything about this machine.
    return { status: 500, code: 'ERR_INTERNAL', message: 'The server failed; its own messages say why' }
  }
  return { status: statusCode, code: isOwn(code) ? String(code) : 'ERR_BAD_REQUEST', message: message ?? '' }
}

function isOwn(code: unknown): boolean {
  return typeof code === 'string' && code.startsWith('ERR_')
}

/** Without the folders of absolute paths, wherever a message got them from. */
function withoutPaths(message: string): string {
  return message.replace(/(?<![\w:/.])(?:[A-Za-z]:\\|\/)(?:[^\s/\\:'"]+[/\\])+/g, '')
}
