/** How near tiles came to the slide, as `cleric serve` tells. */
import type { SlideChecks, SlideFacts } from '../slide.js'
import { fetchJson, pathOf } from './answers.js'
import { slideChecks } from './checks.js'

export function serverChecks({ name, version }: SlideFacts): Promise<SlideChecks | null> {
  const address = `checks/${pathOf(name)}?v=${encodeURIComponent(version)}`
  return slideChecks((query) => fetchJson([address, new URLSearchParams(query)].filter(String).join('&')))
}
