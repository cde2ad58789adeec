/**
 * Changes of bytes that find what a parser doesn't expect: wrong bits, numbers at the ends of their ranges, pieces that are
 * missing, there twice, or from another input. Everything follows from a seed, so that a finding can be made again.
 */

/** Numbers from 0 up to, not including, `limit`. */
export type Draw = (limit: number) => number

/** xorshift32, of Marsaglia. */
export function drawer(seed: number): Draw {
  let state = seed >>> 0 || 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

const ENDS = [0, 1, 2, 16, 64, 127, 128, 255, 256, 4096, 32_767, 65_535, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]
const MOST_CHANGES = 6

/** One of the inputs, changed in some places; `most` bytes at most. */
export function mutated(inputs: readonly Uint8Array[], draw: Draw, most: number): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer> = Uint8Array.from(inputs[draw(inputs.length)] as Uint8Array)
  for (let changes = 1 + draw(MOST_CHANGES); changes > 0; changes--) bytes = changed(bytes, inputs, draw)
  return bytes.subarray(0, most)
}

function changed(bytes: Uint8Array<ArrayBuffer>, inputs: readonly Uint8Array[], draw: Draw): Uint8Array<ArrayBuffer> {
  const at = draw(bytes.length + 1)
  const length = draw(Math.min(32, bytes.length - at + 1) + 1)
  const insert = (piece: Uint8Array, end = at) =>
    Uint8Array.from([...bytes.subarray(0, at), ...piece, ...bytes.subarray(end)])
  switch (draw(8)) {
    case 0:
      return bytes.map((byte, i) => (i === at ? byte ^ (1 << draw(8)) : byte))
    case 1:
      return bytes.map((byte, i) => (i === at ? draw(256) : byte))
    case 2:
    case 3: {
      // A number of one, two, four or eight bytes, of either order.
      const size = 2 ** draw(4)
      const number = new DataView(new ArrayBuffer(8))
      number.setUint32(draw(4), ENDS[draw(ENDS.length)] as number, draw(2) === 0)
      const from = draw(9 - size)
      return insert(new Uint8Array(number.buffer).subarray(from, from + size), at + size)
    }
    case 4:
      return insert(new Uint8Array(0), at + length)
    case 5:
      return insert(bytes.subarray(at, at + length))
    case 6: {
      const other = inputs[draw(inputs.length)] as Uint8Array
      const from = draw(other.length + 1)
      return insert(other.subarray(from, from + length), draw(2) === 0 ? at : at + length)
    }
    default:
      // To be cut short is rarely worth more than the parser's first checks.
      return draw(8) === 0 ? bytes.subarray(0, at) : bytes.map((byte, i) => (i === at ? byte + draw(3) - 1 : byte))
  }
}
