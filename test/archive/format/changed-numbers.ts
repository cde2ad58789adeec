/** The numbers that a page states in its tables, and other numbers in their place: a check that knows them must fail. */

/** The numbers in the tables of the page, with where they stand. */
export function* numbersOf(text: string): Generator<{ at: number; number: string; line: string }> {
  for (const { index, 0: line } of text.matchAll(/^\|.*\|$/gm)) {
    for (const { index: within, 0: number } of line.matchAll(/\b(?:0x[0-9A-F]{8}|\d+)\b/g)) {
      yield { at: index + within, number, line }
    }
  }
}

/** Another number of the same form. */
export function changed(number: string): string {
  if (!number.startsWith('0x')) return String(Number(number) + 1).padStart(number.length, '0')
  return `0x${(Number(number) - 1).toString(16).toUpperCase()}`
}

/** Numbers of the page that stand in no table, nor in an example or a list's mark, nor are part of what `known` matches. */
export function numbersOutsideTables(text: string, known: RegExp): readonly string[] {
  const prose = text
    .replaceAll(/^(\|| {4}).*\n/gm, '')
    .replaceAll(/^\d\. /gm, '')
    .replaceAll(known, '')
  return prose.match(/\b\d+\b/g) ?? []
}
