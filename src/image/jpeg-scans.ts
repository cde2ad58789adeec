/**
 * How many scans a JPEG has, counted without decoding. A decoder of a progressive one, or of one whose components have
 * scans of their own, goes over all pixels at each, and a scan takes a dozen bytes: libjpeg and libvips have no bound.
 * Source: ITU-T T.81, B.1.
 */

const MARKER = { tem: 0x01, rst0: 0xd0, soi: 0xd8, eoi: 0xd9, sos: 0xda } as const

/** Scans of any JPEG that is decoded; progressive ones of encoders have some ten. */
export const MAX_SCANS = 64

/** Counts in a stream that comes in pieces. Whatever is no marker is skipped, as decoders do. */
export class ScanCounter {
  scans = 0
  /** Whether the end of the image was found: what follows isn't decoded. */
  isAtEnd = false
  /** What the next byte is: any, one after 0xFF, or one of a segment's length. */
  #next: 'any' | 'marker' | 'high' | 'low' = 'any'
  #high = 0
  /** Bytes of a segment that are still to come. */
  #skip = 0

  push(piece: Uint8Array): void {
    let at = 0
    while (at < piece.length && !this.isAtEnd) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, piece.length - at)
        this.#skip -= skipped
        at += skipped
      } else if (this.#next === 'any') {
        const found = piece.indexOf(0xff, at)
        if (found < 0) return
        this.#next = 'marker'
        at = found + 1
      } else this.#take(piece[at++] as number)
    }
  }

  #take(byte: number): void {
    if (this.#next === 'marker') {
      // Any number of 0xFF may stand before a marker.
      if (byte === 0xff) return
      if (byte === MARKER.eoi) this.isAtEnd = true
      if (byte === MARKER.sos) this.scans++
      const isAlone = byte <= MARKER.tem || (byte >= MARKER.rst0 && byte <= MARKER.soi)
      this.#next = isAlone ? 'any' : 'high'
    } else if (this.#next === 'high') {
      this.#high = byte
      this.#next = 'low'
    } else {
      this.#skip = Math.max(0, ((this.#high << 8) | byte) - 2)
      this.#next = 'any'
    }
  }
}

export function hasManyScans(stream: Uint8Array, most = MAX_SCANS): boolean {
  const counter = new ScanCounter()
  counter.push(stream)
  return counter.scans > most
}
