/** Waiting for work until a signal fires, and controllers that follow a signal. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import { LinkedAbort, untilAborted } from '../../src/concurrency/abort.js'
import { inOrder } from '../../src/concurrency/in-order.js'
import { AbortedError } from '../../src/errors.js'
import { heapUsed } from '../heap.js'

test.serial('work leaves nothing at a signal that lives as long as the program', async (t) => {
  const { signal } = new AbortController()
  const work = async (times: number) => {
    for (let i = 0; i < times; i++) {
      await untilAborted(Promise.resolve(i), signal)
      await inOrder(
        [i],
        2,
        async (item) => item,
        async () => {},
        signal,
      )
    }
    // Weak references are held until the turn of the event loop is over.
    await nextTurn()
  }
  await work(1000)
  const before = heapUsed()
  for (let i = 0; i < 20; i++) await work(1000)
  const each = (heapUsed() - before) / 20_000
  t.log(`${each.toFixed(1)} bytes each`)
  t.true(each < 30, `${each} bytes each`)
})

test('a linked controller fires by itself and with its signal, until it is disposed of', (t) => {
  const program = new AbortController()
  const stopped = new LinkedAbort(program.signal)
  stopped.abort('enough')
  t.is(stopped.signal.reason, 'enough')
  t.false(program.signal.aborted)
  const ended = new LinkedAbort(program.signal)
  ended[Symbol.dispose]()
  const underWay = new LinkedAbort(program.signal)
  program.abort('Ctrl-C')
  t.is(underWay.signal.reason, 'Ctrl-C')
  t.is(stopped.signal.reason, 'enough')
  t.false(ended.signal.aborted)
  t.is(new LinkedAbort(program.signal).signal.reason, 'Ctrl-C')
})

test('an abort rejects at once and cancels the work; one that comes when the work is done does neither', async (t) => {
  const controller = new AbortController()
  let cancelled = 0
  const cancel = () => cancelled++
  const endless = untilAborted(new Promise(() => {}), controller.signal, cancel)
  // Here it is done, but its outcome has not come through to who waits for it.
  const done = untilAborted(Promise.resolve('done'), controller.signal, cancel)
  await Promise.resolve()
  controller.abort('enough')
  const error = await t.throwsAsync(endless, { instanceOf: AbortedError })
  t.is(error.cause, 'enough')
  t.is(await done, 'done')
  t.is(cancelled, 1)
})
