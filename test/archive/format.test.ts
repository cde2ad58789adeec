/**
 * docs/format.md, number by number. The tables of the page are all that the writers and readers in `format/` know: the
 * package must read what they write, and they what it writes. That each number counts is shown by changing it.
 */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { changed, numbersOf, numbersOutsideTables } from './format/changed-numbers.js'
import { FormatDocument } from './format/document.js'
import { limitChecks } from './format/limit-checks.js'
import { otherTileChecks } from './format/other-tiles.js'
import { readChecks } from './format/read-checks.js'
import { tileChecks } from './format/tile-checks.js'
import { writeChecks } from './format/write-checks.js'

const page = readFileSync(new URL('../../docs/format.md', import.meta.url), 'utf8')
// The quickest first, as a wrong number is looked for until one of them notices it: reading archives notices last.
const checks = { ...otherTileChecks, ...writeChecks, ...tileChecks, ...limitChecks, ...readChecks }

for (const [title, check] of Object.entries(checks)) {
  test.serial(title, async (t) => {
    await t.notThrowsAsync(check(new FormatDocument(page)))
  })
}

test.serial('a wrong number anywhere in the tables is noticed', async (t) => {
  t.timeout(600_000)
  const unnoticed: string[] = []
  let count = 0
  for (const { at, number, line } of numbersOf(page)) {
    const wrong = new FormatDocument(`${page.slice(0, at)}${changed(number)}${page.slice(at + number.length)}`)
    const isRight = async () => {
      for (const check of Object.values(checks)) await check(wrong)
      return true
    }
    if (await isRight().catch(() => false)) unnoticed.push(`${number} in ${line}`)
    count++
  }
  t.log(`${count} numbers`)
  t.deepEqual(unnoticed, [])
})

test('numbers stand in tables, where they are checked', (t) => {
  const known = /Revision 6\.0|T\.81|format 1|CRC-32C|SHA-256|8-bit|start\(s\) \+ freq\(s\) - 1|u \+ 1|n \+ 1/g
  t.deepEqual(numbersOutsideTables(page, known), [])
})
