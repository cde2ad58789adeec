/** All codecs of the bench, by name. */
import type { PayloadCodec } from '../codec/codec.js'
import { clericCodec, clericFacts } from './cleric-codec.js'
import type { BenchCodec, CodecFacts, MissingCodec } from './codec.js'
import { openSharpCodec, sharpCodecs } from './sharp-codecs.js'
import { openToolCodec, toolCodecs } from './tool-codecs.js'

/** In the order of legends and tables. */
export const benchCodecs: readonly CodecFacts[] = [
  'cleric',
  'jpeg',
  'mozjpeg',
  'jpeg2000',
  'htj2k',
  'jpeg-xl',
  'avif',
  'hevc',
  'webp',
].map((id) => [clericFacts, ...toolCodecs, ...sharpCodecs].find((codec) => codec.id === id) as CodecFacts)

/** @param cleric opens this project's codec, if it is asked for */
export async function openBenchCodecs(
  ids: readonly string[],
  cleric: () => Promise<PayloadCodec>,
  signal?: AbortSignal,
): Promise<(BenchCodec | MissingCodec)[]> {
  const opened: (BenchCodec | MissingCodec)[] = []
  for (const { id } of benchCodecs.filter((codec) => ids.includes(codec.id))) {
    if (id === clericFacts.id) opened.push(clericCodec(await cleric()))
    else if (sharpCodecs.some((codec) => codec.id === id)) opened.push(openSharpCodec(id))
    else opened.push(await openToolCodec(id, signal))
  }
  return opened
}
