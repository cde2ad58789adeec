/** Raw Deflate by the browser, in place of `src/codec/deflate.ts`. */

export async function deflate(bytes: Uint8Array): Promise<Uint8Array> {
  return through(bytes, new CompressionStream('deflate-raw'), Number.POSITIVE_INFINITY)
}

/** @throws Error for damaged data, and if there are more than `most` bytes */
export async function inflate(bytes: Uint8Array, most: number): Promise<Uint8Array> {
  return through(bytes, new DecompressionStream('deflate-raw'), most)
}

async function through(bytes: Uint8Array, stream: GenericTransformStream, most: number): Promise<Uint8Array> {
  const body = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(stream)
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  const parts: Uint8Array[] = []
  let length = 0
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    length += next.value.length
    if (length > most) {
      await reader.cancel()
      throw new Error(`there are more than ${most} bytes`)
    }
    parts.push(next.value)
  }
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
