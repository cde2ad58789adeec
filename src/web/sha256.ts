/**
 * SHA-256 in browsers, in place of `src/files/sha256.ts`. Not WebCrypto's, which has a promise for an answer and takes
 * all bytes at once: a copy of a whole model.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

export class Sha256 {
  readonly #hash = sha256.create()

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    return this
  }

  bytes(): Uint8Array {
    return this.#hash.digest()
  }

  hex(): string {
    return bytesToHex(this.bytes())
  }
}
