/** SHA-256, of Node here; `src/web/sha256.ts` stands in for it in browsers. */
import { createHash } from 'node:crypto'

/**
 * A hash of bytes that come in pieces.
 *
 * @example
 * new Sha256().update(new TextEncoder().encode('abc')).hex() // 'ba7816bf...'
 */
export class Sha256 {
  readonly #hash = createHash('sha256')

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    return this
  }

  /** The 32 bytes. The hash takes nothing more afterwards. */
  bytes(): Uint8Array {
    return this.#hash.digest()
  }

  /** 64 hex digits, likewise. */
  hex(): string {
    return this.#hash.digest('hex')
  }
}
