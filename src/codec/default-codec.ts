/**
 * The codec that everything shares that isn't given one. It is opened at the first use, lent out, and closed
 * when nobody has used it for a while or the program has nothing else to do, so that a script ends by itself.
 */
import type { Codec, CodecOptions } from './codec.js'

/** Which model, on which device; an undefined entry counts as absent. As {@link CodecOptions}. */
export type CodecChoice = { readonly [K in 'model' | 'device' | 'adapter']?: CodecOptions[K] | undefined }

interface Shared {
  readonly codec: Promise<Codec>
  users: number
  idle: NodeJS.Timeout | undefined
}

export interface Loan {
  readonly codec: Codec
  /** To be called once, when done with the codec. */
  release(): void
}

const IDLE_MS = 30_000
const shared = new Map<string, Shared>()

/** Lends the shared codec of that model and device; opens it if need be. */
export async function borrowCodec({ model, device, adapter }: CodecChoice = {}): Promise<Loan> {
  const key = JSON.stringify([model, device, adapter])
  let entry = shared.get(key)
  if (!entry) {
    const options = { ...(model && { model }), ...(device && { device }), ...(adapter && { adapter }) }
    // Loaded when first needed: what only reads facts of an archive shouldn't wait for a WebGPU implementation.
    const codec = import('./codec.js').then(({ openCodec }) => openCodec(options))
    entry = { codec, users: 0, idle: undefined }
    shared.set(key, entry)
    // A failure is not kept: the next caller tries again.
    entry.codec.catch(() => shared.delete(key))
  }
  const lent = entry
  lent.users++
  clearTimeout(lent.idle)
  const release = () => {
    lent.users--
    if (lent.users > 0 || shared.get(key) !== lent) return
    lent.idle = setTimeout(() => close(key), IDLE_MS)
    lent.idle.unref()
  }
  try {
    return { codec: await lent.codec, release }
  } catch (error) {
    release()
    throw error
  }
}

/** Closes the shared codecs that nobody uses now. */
export function closeIdleCodecs(): void {
  for (const [key, { users }] of shared) if (users === 0) close(key)
}

function close(key: string): void {
  const entry = shared.get(key)
  if (!entry) return
  shared.delete(key)
  clearTimeout(entry.idle)
  entry.codec.then((codec) => codec.close()).catch(() => {})
}

process.on('beforeExit', closeIdleCodecs)
