/** How near tiles came to the slide, from who knows it: the server, or the worker that has the archive open. */
import type { CheckedLevel, CheckedTiles, ChecksSummary, SlideChecks } from '../slide.js'

type Query = Readonly<Record<string, string>>

/** @param ask what `/checks/` of `cleric serve` answers to the parameters */
export async function slideChecks(ask: (query: Query) => Promise<unknown>): Promise<SlideChecks | null> {
  const { checks, levels } = (await ask({})) as { checks: ChecksSummary | null; levels: CheckedLevel[] }
  return {
    summary: checks,
    levels,
    async window(level, column, row, columns, rows) {
      const numbers = Object.entries({ level, column, row, columns, rows })
      return (await ask(Object.fromEntries(numbers.map(([key, value]) => [key, String(value)])))) as CheckedTiles
    },
  }
}
