/**
 * docs/model-format.md, number by number: the tables of the page are all that the reader and the writer in `format/` know. That
 * each number counts is shown by changing it.
 */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { changed, numbersOf, numbersOutsideTables } from '../archive/format/changed-numbers.js'
import { FormatDocument } from '../archive/format/document.js'
import { modelChecks } from './format/checks.js'

const page = readFileSync(new URL('../../docs/model-format.md', import.meta.url), 'utf8')

for (const [title, check] of Object.entries(modelChecks)) {
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
      for (const check of Object.values(modelChecks)) await check(wrong)
      return true
    }
    if (await isRight().catch(() => false)) unnoticed.push(`${number} in ${line}`)
    count++
  }
  t.log(`${count} numbers`)
  t.true(count > 25)
  t.deepEqual(unnoticed, [])
})

test('numbers stand in tables, where they are checked', (t) => {
  t.deepEqual(numbersOutsideTables(page, /SHA-256|UTF-8|[Ff]ormat[- ][23]|IEEE 754|cleric-model\/2/g), [])
})
