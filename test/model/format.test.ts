/**
 * docs/model-format.md, number by number: the tables of the page are all that the reader and the writer in `format/` know. That
 * each number counts is shown by changing it.
 */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { numbersOutsideTables } from '../archive/format/changed-numbers.js'
import { testPage } from '../archive/format/test-page.js'
import { modelChecks } from './format/checks.js'

const page = readFileSync(new URL('../../docs/model-format.md', import.meta.url), 'utf8')

testPage(page, modelChecks, 25)

test('numbers stand in tables, where they are checked', (t) => {
  t.deepEqual(numbersOutsideTables(page, /SHA-256|UTF-8|[Ff]ormat[- ][23]|IEEE 754|cleric-model\/2/g), [])
})
