/** How near tiles came to the slide, as `cleric serve` tells. */
import type { CheckedLevel, CheckedTiles, ChecksSummary, SlideChecks, SlideFacts } from '../slide.js'
import { fetchJson, pathOf } from './answers.js'

export async function serverChecks({ name, version }: SlideFacts): Promise<SlideChecks | null> {
  const address = `checks/${pathOf(name)}?v=${encodeURIComponent(version)}`
  const body = (await fetchJson(address)) as { checks: ChecksSummary | null; levels: CheckedLevel[] }
  return {
    summary: body.checks,
    levels: body.levels,
    async window(level, column, row, columns, rows) {
      const query = new URLSearchParams(
        Object.entries({ level, column, row, columns, rows }).map(([key, value]) => [key, String(value)]),
      )
      return (await fetchJson(`${address}&${query}`)) as CheckedTiles
    },
  }
}
