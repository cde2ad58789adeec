/** All codecs of the bench, by name. */
import type { PayloadCodec } from 'cleric/internal'
import { CHECKED_FACTS, CLERIC_FACTS, checkedCodec, clericCodec } from './cleric-codec.js'
import type { BenchCodec, CodecFacts, MissingCodec } from './codec.js'
import { openSharpCodec, SHARP_CODECS } from './sharp-codecs.js'
import { openToolCodec, TOOL_CODECS } from './tool-codecs.js'

/** In the order of legends and tables. */
export const BENCH_CODECS: readonly CodecFacts[] = [
  'cleric',
  'cleric-checked',
  'jpeg',
  'mozjpeg',
  'jpeg2000',
  'htj2k',
  'jpeg-xl',
  'avif',
  'hevc',
  'vtm',
  'webp',
].map(
  (id) => [CLERIC_FACTS, CHECKED_FACTS, ...TOOL_CODECS, ...SHARP_CODECS].find((codec) => codec.id === id) as CodecFacts,
)

/** @param cleric opens this project's codec, if it is asked for: once */
export async function openBenchCodecs(
  ids: readonly string[],
  cleric: () => Promise<PayloadCodec>,
  signal?: AbortSignal,
): Promise<(BenchCodec | MissingCodec)[]> {
  const opened: (BenchCodec | MissingCodec)[] = []
  let opening: Promise<PayloadCodec> | undefined
  const shared = () => (opening ??= cleric())
  for (const { id } of BENCH_CODECS.filter((codec) => ids.includes(codec.id))) {
    if (id === CLERIC_FACTS.id) opened.push(clericCodec(await shared()))
    else if (id === CHECKED_FACTS.id) opened.push(checkedCodec(await shared()))
    else if (SHARP_CODECS.some((codec) => codec.id === id)) opened.push(openSharpCodec(id))
    else opened.push(await openToolCodec(id, signal))
  }
  return opened
}
