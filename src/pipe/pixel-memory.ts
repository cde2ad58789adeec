/** Memory that the other side has mapped: an open file, such as Linux's memfd_create makes. Pixels needn't go through a pipe then. */
import { fstatSync, write, writeSync } from 'node:fs'
import { promisify } from 'node:util'

/** From here on a copy takes so long that others get their turn meanwhile. */
const LONG_COPY = 2 ** 20

const writeLater = promisify(write)

export class PixelMemory {
  readonly #descriptor: number
  /** Bytes. */
  readonly size: number

  /**
   * @param descriptor of a file that is open for writing
   * @throws what the operating system says if it isn't open
   */
  constructor(descriptor: number) {
    this.#descriptor = descriptor
    this.size = fstatSync(descriptor).size
  }

  /** @param at where in the memory, in bytes; all of `bytes` lies within it */
  async write(bytes: Uint8Array, at: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const [length, position] = [bytes.length - done, at + done]
      done +=
        length < LONG_COPY
          ? writeSync(this.#descriptor, bytes, done, length, position)
          : (await writeLater(this.#descriptor, bytes, done, length, position)).bytesWritten
    }
  }
}
