/** A value that is made once for all who ask, and no longer when nobody waits for it any more. */
import test from 'ava'
import { SharedPromise } from '../../src/concurrency/shared-promise.js'

/** Work that the test ends, and how often it began. */
function workshop() {
  const begun: { resolve: (value: string) => void; reject: (error: Error) => void; stop: AbortSignal }[] = []
  const make = (stop: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      begun.push({ resolve, reject, stop })
      stop.addEventListener('abort', () => reject(new Error('stopped')), { once: true })
    })
  return { begun, make }
}

test('it is made once, for those who ask meanwhile and later', async (t) => {
  const { begun, make } = workshop()
  const shared = new SharedPromise(make)
  const asked = [shared.get(undefined), shared.get(new AbortController().signal)]
  begun[0]?.resolve('made')
  t.deepEqual(await Promise.all([...asked, shared.get(undefined)]), ['made', 'made', 'made'])
  t.is(begun.length, 1)
})

test('who gives up hears it at once; the making goes on for the others, and stops with the last', async (t) => {
  const { begun, make } = workshop()
  const shared = new SharedPromise(make)
  const [first, second] = [new AbortController(), new AbortController()]
  const asked = [shared.get(first.signal), shared.get(second.signal)]
  first.abort()
  await t.throwsAsync(asked[0] as Promise<string>, { name: 'AbortError' })
  t.false(begun[0]?.stop.aborted)
  second.abort()
  await t.throwsAsync(asked[1] as Promise<string>, { name: 'AbortError' })
  t.true(begun[0]?.stop.aborted)
  const again = shared.get(undefined)
  begun[1]?.resolve('made anew')
  t.is(await again, 'made anew')
})

test('a value that is there outlives those who give up', async (t) => {
  const { begun, make } = workshop()
  const shared = new SharedPromise(make)
  const asked = shared.get(undefined)
  begun[0]?.resolve('made')
  await asked
  const stop = new AbortController()
  const late = shared.get(stop.signal)
  stop.abort()
  await t.throwsAsync(late, { name: 'AbortError' })
  t.is(await shared.get(undefined), 'made')
  t.is(begun.length, 1)
})

test('a failure is repeated only if it lasts', async (t) => {
  for (const isLasting of [false, true]) {
    const { begun, make } = workshop()
    const shared = new SharedPromise(make, () => isLasting)
    const asked = shared.get(undefined)
    begun[0]?.reject(new Error('broken'))
    await t.throwsAsync(asked, { message: 'broken' })
    const again = shared.get(undefined)
    begun[1]?.resolve('made')
    if (isLasting) await t.throwsAsync(again, { message: 'broken' })
    else t.is(await again, 'made')
    t.is(begun.length, isLasting ? 1 : 2)
  }
})

test('clearing stops what is being made, and hands out what was made', async (t) => {
  const { begun, make } = workshop()
  const shared = new SharedPromise(make)
  const disposed: string[] = []
  shared.clear((value) => disposed.push(value))
  const asked = shared.get(undefined)
  shared.clear((value) => disposed.push(value))
  await t.throwsAsync(asked, { message: 'stopped' })
  t.deepEqual(disposed, [])
  const again = shared.get(undefined)
  begun[1]?.resolve('made')
  await again
  shared.clear((value) => disposed.push(value))
  await Promise.resolve()
  t.deepEqual(disposed, ['made'])
})
