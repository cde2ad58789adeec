import type { Image } from 'cleric'

/** What a sweep finds out about decoded images. */
export interface Measure<T extends object> {
  /** What there is to compute of the original alone is computed once, when this is called. */
  against(original: Image): (decoded: Image) => T
  /** A result of {@link against} that went through JSON; null if it is none. */
  parse(json: Readonly<Record<string, unknown>>): T | null
}
