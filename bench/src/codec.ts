/** What the bench asks of a codec. Which there are: tool-codecs.ts, sharp-codecs.ts, cleric-codec.ts. */
import type { Image } from 'cleric'

export interface CodecFacts {
  /** As in `--codecs`, e.g. "jpeg-xl". */
  readonly id: string
  /** For people, e.g. "JPEG XL (libjxl)". */
  readonly label: string
  readonly chroma: '4:4:4' | '4:2:0'
  /** What is swept, e.g. "quality". */
  readonly setting: string
  /** The sweep, from the lowest rate to the highest. */
  readonly settings: readonly number[]
  /** Smallest step of a setting: 1 where it is an integer. */
  readonly step: number
}

export interface BenchCodec extends CodecFacts {
  /** Name and version of what encodes and decodes. */
  readonly version: string
  /** What is run, word for word, with names in braces for files and the setting. */
  readonly commands: readonly string[]
  /** Whether results may be kept from run to run: they depend on image, setting, version and commands only. */
  readonly cacheable: boolean
  /** The whole bitstream, with head and container, whose bytes are counted. */
  encode(image: Image, setting: number, signal?: AbortSignal): Promise<Uint8Array>
  /** From those bytes alone. `size` is what the image measures, to be checked. */
  decode(bytes: Uint8Array, size: Size, signal?: AbortSignal): Promise<Image>
}

export type Size = Pick<Image, 'width' | 'height'>

/** A codec that can't be run here, and what would change that. */
export interface MissingCodec {
  readonly id: string
  readonly label: string
  readonly reason: string
}

export function isMissing(codec: BenchCodec | MissingCodec): codec is MissingCodec {
  return 'reason' in codec
}
