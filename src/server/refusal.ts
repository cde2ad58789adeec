/** Why a request gets no answer, as an error that knows its status. */

/** Codes of answers that are about the request, beside those of `errors.ts`, which are about slides. */
export type RefusalCode =
  | 'ERR_BAD_REQUEST'
  | 'ERR_BUSY'
  | 'ERR_FORBIDDEN_HOST'
  | 'ERR_NOT_FOUND'
  | 'ERR_TOO_LARGE'
  | 'ERR_UNAUTHORIZED'

/** Thrown by a route; what answers errors sends `{ code, message }` with the status. */
export class Refusal extends Error {
  readonly statusCode: number
  readonly code: RefusalCode

  constructor(statusCode: number, code: RefusalCode, message: string) {
    super(message)
    this.statusCode = statusCode
    this.code = code
  }

  override get name(): string {
    return 'Refusal'
  }
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, 'ERR_BAD_REQUEST', message)
}

export function missing(message = 'No such slide or tile'): Refusal {
  return new Refusal(404, 'ERR_NOT_FOUND', message)
}

/** The request is sound, but would take more work or memory than any one request may. */
export function tooLarge(message: string): Refusal {
  return new Refusal(400, 'ERR_TOO_LARGE', message)
}

/** The same request may succeed in a while. */
export function busy(): Refusal {
  return new Refusal(503, 'ERR_BUSY', 'The server has too much to do; ask again in a while')
}
