import { InvalidArgumentError } from 'commander'
import { BENCH_CODECS } from '../open-codecs.js'

export const CODEC_IDS: readonly string[] = BENCH_CODECS.map(({ id }) => id)

/** Parses `--codecs`: names with commas between them. */
export function codecList(text: string): string[] {
  const chosen = text.split(',')
  const unknown = chosen.find((id) => !CODEC_IDS.includes(id))
  if (unknown !== undefined) throw new InvalidArgumentError(`Expected some of ${CODEC_IDS.join(',')}, not ${unknown}.`)
  return chosen
}
