import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { Turns } from '../../src/concurrency/turns.js'

test('no more than the limit run at a time, and they begin in order', async (t) => {
  const turns = new Turns(3)
  const begun: number[] = []
  let running = 0
  let most = 0
  const work = (i: number) => async () => {
    begun.push(i)
    most = Math.max(most, ++running)
    await delay((i * 7) % 5)
    running--
    if (i % 4 === 1) throw new Error(`number ${i}`)
    return i
  }
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => turns.run(work(i))))
  t.is(most, 3)
  t.deepEqual(
    begun,
    Array.from({ length: 20 }, (_, i) => i),
  )
  for (const [i, result] of results.entries()) {
    if (i % 4 === 1) t.like(result, { status: 'rejected', reason: { message: `number ${i}` } })
    else t.deepEqual(result, { status: 'fulfilled', value: i })
  }
  // Every place is free again.
  const waits = [1, 2, 3].map(() => turns.run(() => delay(5)))
  await t.notThrowsAsync(Promise.all(waits))
  // And no more than there were.
  most = 0
  await Promise.allSettled(Array.from({ length: 8 }, (_, i) => turns.run(work(i))))
  t.is(most, 3)
})
