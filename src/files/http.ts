/** HTTP requests for a part of a file, tried again where the failure may be over soon. */
import { untilAborted } from '../concurrency/abort.js'
import { ClericError, throwIfAborted } from '../errors.js'

/** Milliseconds between tries: growing, so that a server that is busy gets time. */
const WAITS = [250, 1000, 3000]
/** The most that a server's Retry-After can make of them. */
const MAX_WAIT = 10_000
/** Each wait is longer or shorter by up to this share, so that many readers don't come back all at once. */
const SPREAD = 0.25

/** Too Many Requests, Bad Gateway, Service Unavailable, Gateway Timeout. */
const PASSING_STATUS: readonly number[] = [429, 502, 503, 504]

/** What Node.js and its `fetch` call a connection that broke, was refused or went silent, or a name server that did. */
const BROKEN: readonly unknown[] = [
  ...['ECONNABORTED', 'ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN'],
  ...['UND_ERR_SOCKET', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'],
]

/**
 * Answers to a request for a file that has changed: Precondition Failed, and Range Not Satisfiable if it is shorter
 * now.
 */
export const OUTDATED: readonly number[] = [412, 416]

export interface RangeRequest {
  readonly address: string
  readonly offset: number
  readonly length: number
  /** Headers such as If-Range. */
  readonly conditions?: Readonly<Record<string, string>>
}

/**
 * An address as messages, logs and names have it: without user, password, query and fragment. What lets somebody read a file
 * often stands there (as in the signed addresses of object stores), and is no one else's business.
 */
export function publicAddress(address: string): string {
  const url = new URL(address)
  for (const part of ['username', 'password', 'search', 'hash'] as const) url[part] = ''
  return url.href
}

/** An address without its user and password, which `fetch` refuses, and the header that says them in their place. */
function withoutCredentials(address: string): { url: string; credentials: Readonly<Record<string, string>> } {
  const url = new URL(address)
  const { username, password } = url
  if (username === '' && password === '') return { url: address, credentials: {} }
  url.username = ''
  url.password = ''
  // A header has bytes: RFC 7617 leaves their meaning to the server, and servers take UTF-8.
  const bytes = new TextEncoder().encode(`${unescaped(username)}:${unescaped(password)}`)
  return { url: url.href, credentials: { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` } }
}

/** A part of an address as it was meant; as it stands where its percent signs are no escapes. */
function unescaped(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/**
 * Asks for bytes of a file and resolves to what `use` makes of the answer, whose status is a success or one of
 * {@link OUTDATED}. A connection that breaks while `use` reads the body counts as a failure of the request.
 *
 * @throws ClericError ERR_NETWORK for a status that is a failure, or without an answer; AbortedError, also while it waits
 */
export async function requestRange<T>(
  request: RangeRequest,
  use: (response: Response) => Promise<T>,
  signal?: AbortSignal,
  pause: Pause = sleep,
): Promise<T> {
  for (const wait of WAITS) {
    const { result, failure, retryAfter } = await tryOnce(request, use, signal)
    if (!failure) return result as T
    if (retryAfter === undefined) throw failure
    const spread = 1 + SPREAD * (2 * Math.random() - 1)
    await pause(Math.max(wait * spread, Math.min(retryAfter, MAX_WAIT)), signal)
  }
  const { result, failure } = await tryOnce(request, use, signal)
  if (failure) throw failure
  return result as T
}

interface Try<T> {
  readonly result?: T
  readonly failure?: ClericError
  /** The least number of milliseconds after which another try makes sense; undefined if none does. */
  readonly retryAfter?: number
}

async function tryOnce<T>(
  { address, offset, length, conditions }: RangeRequest,
  use: (response: Response) => Promise<T>,
  signal?: AbortSignal,
): Promise<Try<T>> {
  const { url, credentials } = withoutCredentials(address)
  const headers = { range: `bytes=${offset}-${offset + length - 1}`, ...conditions, ...credentials }
  try {
    const response = await fetch(url, signal ? { headers, signal } : { headers })
    if (response.ok || OUTDATED.includes(response.status)) return { result: await use(response) }
    await discard(response)
    const what = `${response.status} ${response.statusText}`.trimEnd()
    const failure = new ClericError('ERR_NETWORK', `${publicAddress(address)}: ${what}`)
    return PASSING_STATUS.includes(response.status) ? { failure, retryAfter: retryAfterOf(response) } : { failure }
  } catch (error) {
    if (error instanceof ClericError) throw error
    throwIfAborted(signal)
    // The message of what `fetch` throws says that it failed; the cause says why.
    const { message, cause } = error as Error
    const { code, message: why } = (cause instanceof Error ? cause : {}) as { code?: string; message?: string }
    const failure = new ClericError('ERR_NETWORK', `${publicAddress(address)}: ${why || code || message}`, {
      cause: error,
    })
    // Browsers give no cause: a broken connection, mostly.
    return cause === undefined || BROKEN.includes(code) ? { failure, retryAfter: 0 } : { failure }
  }
}

/** Milliseconds of the header Retry-After, which is a number of seconds or a date; 0 if there is none. */
function retryAfterOf({ headers }: Response): number {
  const text = headers.get('retry-after') ?? ''
  const milliseconds = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now()
  return Number.isNaN(milliseconds) ? 0 : Math.max(0, milliseconds)
}

/** Waits that many milliseconds, or until the signal fires. */
export type Pause = (milliseconds: number, signal?: AbortSignal) => Promise<void>

/** @throws AbortedError */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal)
  let timer: ReturnType<typeof setTimeout> | undefined
  const slept = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await untilAborted(slept, signal, () => clearTimeout(timer))
}

/** The body of an answer in pieces. Not every browser's streams can be looped over. */
export async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader()
  if (!reader) return
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    // Whoever stops in the middle wants no more of it.
    await reader.cancel().catch(() => {})
  }
}

/** Ends an answer whose body nobody reads, so that its connection is free again. */
export async function discard({ body }: Response): Promise<void> {
  await body?.cancel().catch(() => {})
}
