/** Finds the known name that a misspelt one probably means, for error messages. */

/** Most letters that may have to be added, left out or changed. */
const MOST_SLIPS = 2

/**
 * The known name nearest to `name`, or null if none is near. Case, hyphens and a leading "no" don't count, so that the
 * spelling of a command line finds that of a library: "no-label" and "noLabel" are near "label", "target-bpp" is near
 * "targetBpp".
 */
export function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null
  let least = MOST_SLIPS + 1
  for (const candidate of known) {
    const slips = Math.min(distance(plain(name), plain(candidate)), distance(positive(name), positive(candidate)))
    // Two short words may differ in half of their letters by chance.
    if (slips >= least || 2 * slips >= candidate.length) continue
    least = slips
    best = candidate
  }
  return best
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

function positive(name: string): string {
  return plain(name).replace(/^no/, '')
}

/** Levenshtein's distance: letters to add, leave out or change; too many are not counted. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MOST_SLIPS) return MOST_SLIPS + 1
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, change))
    }
    row = next
  }
  return row.at(-1) as number
}
