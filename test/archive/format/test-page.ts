/** The tests of a page of docs/ whose numbers are checked one by one. */
import test from 'ava'
import { changed, numbersOf } from './changed-numbers.js'
import { FormatDocument } from './document.js'

/**
 * Each check on its own, by the page as it is; and all of them by the page with any one of its numbers changed, which one of
 * them must notice.
 *
 * @param least numbers, and one more, that the tables have
 */
export function testPage(
  page: string,
  checks: Readonly<Record<string, (document: FormatDocument) => Promise<void>>>,
  least = 0,
): void {
  for (const [title, check] of Object.entries(checks)) {
    test.serial(title, async (t) => {
      await t.notThrowsAsync(check(new FormatDocument(page)))
    })
  }

  test.serial('a wrong number anywhere in the tables is noticed', async (t) => {
    t.timeout(600_000)
    const unnoticed: string[] = []
    // The check that noticed the last number comes first: it often notices the next, too.
    const order = Object.values(checks)
    const isNoticed = async (wrong: FormatDocument) => {
      for (const [i, check] of order.entries()) {
        try {
          await check(wrong)
        } catch {
          order.unshift(...order.splice(i, 1))
          return true
        }
      }
      return false
    }
    let count = 0
    for (const { at, number, line } of numbersOf(page)) {
      const wrong = new FormatDocument(`${page.slice(0, at)}${changed(number)}${page.slice(at + number.length)}`)
      if (!(await isNoticed(wrong))) unnoticed.push(`${number} in ${line}`)
      count++
    }
    t.log(`${count} numbers`)
    t.true(count > least)
    t.deepEqual(unnoticed, [])
  })
}
