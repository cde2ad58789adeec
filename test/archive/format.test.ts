/**
 * docs/format.md, number by number. The tables of the page are all that the writers and readers in `format/` know: the
 * package must read what they write, and they what it writes. That each number counts is shown by changing it.
 */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { numbersOutsideTables } from './format/changed-numbers.js'
import { limitChecks } from './format/limit-checks.js'
import { otherTileChecks } from './format/other-tiles.js'
import { readChecks } from './format/read-checks.js'
import { testPage } from './format/test-page.js'
import { tileChecks } from './format/tile-checks.js'
import { writeChecks } from './format/write-checks.js'

const page = readFileSync(new URL('../../docs/format.md', import.meta.url), 'utf8')
// The quickest first, as a wrong number is looked for until one of them notices it: reading archives notices last.
const checks = { ...otherTileChecks, ...writeChecks, ...tileChecks, ...limitChecks, ...readChecks }

testPage(page, checks)

test('numbers stand in tables, where they are checked', (t) => {
  const known = /Revision 6\.0|T\.81|format 1|CRC-32C|SHA-256|8-bit|start\(s\) \+ freq\(s\) - 1|u \+ 1|n \+ 1/g
  t.deepEqual(numbersOutsideTables(page, known), [])
})
