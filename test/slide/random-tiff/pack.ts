/** The compressions of TIFF 6 that no library of ours writes, and the packing of samples into bytes. */

/** TIFF's LZW (section 13): codes of 9 to 12 bits, highest bit first, that grow one code early. */
export function lzw(bytes: Uint8Array): Uint8Array {
  const [CLEAR, END, FIRST, LAST] = [256, 257, 258, 4094]
  const out: number[] = []
  let [buffer, held] = [0, 0]
  let width = 9
  const put = (code: number) => {
    buffer = (buffer << width) | code
    held += width
    while (held >= 8) {
      held -= 8
      out.push((buffer >>> held) & 255)
    }
    buffer &= (1 << held) - 1
  }
  let table = new Map<number, number>()
  let next = FIRST
  const clear = () => {
    put(CLEAR)
    table = new Map()
    next = FIRST
    width = 9
  }
  /** Each code but the first makes an entry, also in the decoder, which must know their width. */
  const grow = () => {
    next++
    if (next === LAST) clear()
    else if (next === 2 ** width) width++
  }
  clear()
  let prefix = -1
  for (const byte of bytes) {
    if (prefix < 0) {
      prefix = byte
      continue
    }
    const key = prefix * 256 + byte
    const known = table.get(key)
    if (known !== undefined) {
      prefix = known
      continue
    }
    put(prefix)
    table.set(key, next)
    grow()
    prefix = byte
  }
  if (prefix >= 0) {
    put(prefix)
    grow()
  }
  put(END)
  if (held > 0) out.push((buffer << (8 - held)) & 255)
  return Uint8Array.from(out)
}

/** PackBits (section 9) of rows of `rowBytes`, each by itself. */
export function packBits(bytes: Uint8Array, rowBytes: number): Uint8Array {
  const out: number[] = []
  for (let start = 0; start < bytes.length; start += rowBytes) {
    const row = bytes.subarray(start, start + rowBytes)
    for (let at = 0; at < row.length; ) {
      let run = 1
      while (run < 128 && row[at + run] === row[at] && at + run < row.length) run++
      if (run >= 2) {
        out.push(257 - run, row[at] as number)
        at += run
        continue
      }
      let end = at + 1
      while (end < row.length && end - at < 128 && row[end] !== row[end + 1]) end++
      out.push(end - at - 1, ...row.subarray(at, end))
      at = end
    }
  }
  return Uint8Array.from(out)
}

export type SampleFormat = 'unsigned' | 'signed' | 'float'

/**
 * Rows of samples as bytes. Each row begins at a byte.
 *
 * @param rowSamples samples of a row
 */
export function packSamples(
  samples: ArrayLike<number>,
  rowSamples: number,
  bits: number,
  format: SampleFormat,
  littleEndian: boolean,
): Uint8Array {
  const rows = samples.length / rowSamples
  const rowBytes = Math.ceil((rowSamples * bits) / 8)
  const bytes = new Uint8Array(rows * rowBytes)
  const view = new DataView(bytes.buffer)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rowSamples; i++) {
      const value = samples[row * rowSamples + i] as number
      const at = row * rowBytes + Math.floor((i * bits) / 8)
      if (bits < 8) bytes[at] = (bytes[at] as number) | (value << (8 - bits - ((i * bits) % 8)))
      else if (bits === 8) bytes[at] = value
      else if (bits === 16) view.setUint16(at, value, littleEndian)
      else if (format === 'float') view.setFloat32(at, value, littleEndian)
      else view.setUint32(at, value, littleEndian)
    }
  }
  return bytes
}

/** Predictor 2: each sample of a row less the one `step` samples before it. */
export function difference(samples: ArrayLike<number>, rowSamples: number, step: number, bits: number): Float64Array {
  const modulus = 2 ** bits
  return Float64Array.from({ length: samples.length }, (_, i) => {
    const before = i % rowSamples < step ? 0 : (samples[i - step] as number)
    return ((((samples[i] as number) - before) % modulus) + modulus) % modulus
  })
}
