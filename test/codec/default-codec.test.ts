/** Codecs lent out, on stand-ins that count: when they are opened, replaced and closed. */
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import type { CodecOptions } from '../../src/codec/arguments.js'
import type { Codec } from '../../src/codec/codec.js'
import { SharedCodecs } from '../../src/codec/default-codec.js'
import { AbortedError, DeviceError } from '../../src/errors.js'
import { losslessCodec } from '../payload-codec.js'

/** So long that no test meets it. */
const never = 2 ** 30

function standIn() {
  const codec = { ...losslessCodec(), tilesInFlight: 3, isLost: false, closed: 0, close: () => codec.closed++ }
  return codec
}
type StandIn = ReturnType<typeof standIn>

/** Opens a stand-in each time, when `held` is done. */
function sharing(idleMs = never, held: (call: number) => Promise<unknown> = async () => {}) {
  const opened: StandIn[] = []
  const asked: CodecOptions[] = []
  const shared = new SharedCodecs(async (options) => {
    await held(asked.push(options))
    const codec = standIn()
    opened.push(codec)
    return codec as unknown as Codec
  }, idleMs)
  return { shared, opened, asked }
}

test('who asks for the same model and device gets the same codec', async (t) => {
  const { shared, asked } = sharing()
  const lend = async (use: CodecOptions) => (await shared.lend(use)).codec
  const [first, again] = await Promise.all([lend({}), lend({})])
  t.is(first, again)
  t.is(first, await lend({ model: undefined, device: 'auto', adapter: undefined }))
  t.is(asked.length, 1)
  t.not(first, await lend({ device: 'cpu' }))
  t.not(first, await lend({ adapter: 'llvmpipe' }))
  t.is(await lend({ model: 'm.safetensors' }), await lend({ model: resolve('m.safetensors') }))
  t.deepEqual(
    asked.map(({ model, device, adapter }) => ({ model, device, adapter })),
    [
      { model: undefined, device: 'auto', adapter: undefined },
      { model: undefined, device: 'cpu', adapter: undefined },
      { model: undefined, device: 'auto', adapter: 'llvmpipe' },
      { model: 'm.safetensors', device: 'auto', adapter: undefined },
    ],
  )
})

test('an open codec that is given is used, and stays open', async (t) => {
  const { shared, asked } = sharing(0)
  const codec = standIn()
  {
    using loan = await shared.lend({ codec, device: 'cpu' })
    t.is(loan.codec, codec)
    t.is(loan.tilesInFlight, 6)
  }
  shared.closeIdle()
  t.is(codec.closed, 0)
  t.is(asked.length, 0)
})

test('users keep twice as many tiles under way as the codec works on', async (t) => {
  const { shared } = sharing()
  t.is((await shared.lend({})).tilesInFlight, 6)
  t.is((await shared.lend({ codec: { ...standIn(), tilesInFlight: 1 } })).tilesInFlight, 2)
})

test('a failure to open is not kept', async (t) => {
  const { shared, opened, asked } = sharing(never, async (call) => {
    if (call === 1) throw new DeviceError('ERR_NO_DEVICE', 'none')
  })
  // Both wait for the same opening. The first tries again before the second has heard of the failure.
  const retried = shared.lend({}).catch(() => shared.lend({}))
  await t.throwsAsync(shared.lend({ signal: new AbortController().signal }), { code: 'ERR_NO_DEVICE' })
  t.is((await retried).codec, opened[0] as unknown as Codec)
  t.is(asked.length, 2)
})

test('a codec is closed when nobody has used it for a while', async (t) => {
  const { shared, opened } = sharing(30)
  const [first, second] = [await shared.lend({}), await shared.lend({})]
  first[Symbol.dispose]()
  // Once is enough, and counts once: the other still uses it.
  first[Symbol.dispose]()
  await delay(60)
  t.is(opened[0]?.closed, 0)
  second[Symbol.dispose]()
  const third = await shared.lend({})
  await delay(60)
  t.is(opened[0]?.closed, 0, 'lent again meanwhile')
  third[Symbol.dispose]()
  await delay(60)
  t.is(opened[0]?.closed, 1)
  await shared.lend({})
  t.is(opened.length, 2)
})

test('the idle are closed when the program has nothing else to do, and only they', async (t) => {
  const { shared, opened } = sharing()
  const idle = await shared.lend({ device: 'cpu' })
  await shared.lend({ device: 'webgpu' })
  idle[Symbol.dispose]()
  shared.closeIdle()
  await delay(0)
  t.deepEqual(
    opened.map(({ closed }) => closed),
    [1, 0],
  )
})

test('a codec whose device is lost is replaced while it is in use, and closed by the last who uses it', async (t) => {
  const { shared, opened } = sharing()
  const [first, second] = [await shared.lend({}), await shared.lend({})]
  const lost = opened[0] as StandIn
  lost.isLost = true
  const third = await shared.lend({})
  t.not(third.codec, first.codec)
  t.is(third.codec, (await shared.lend({})).codec)
  first[Symbol.dispose]()
  await delay(0)
  t.is(lost.closed, 0)
  second[Symbol.dispose]()
  await delay(0)
  t.is(lost.closed, 1)
  t.is(opened[1]?.closed, 0)
  // Whose closing leaves the one that took its place to be found.
  t.is((await shared.lend({})).codec, third.codec)
  t.is(opened.length, 2)
})

test('a lost codec is not kept for later', async (t) => {
  const { shared, opened } = sharing()
  const loan = await shared.lend({})
  const [first] = opened as [StandIn]
  first.isLost = true
  loan[Symbol.dispose]()
  await delay(0)
  t.is(first.closed, 1)
  // Nor one that is lost while it is idle.
  const again = await shared.lend({})
  again[Symbol.dispose]()
  const second = opened[1] as StandIn
  second.isLost = true
  await shared.lend({})
  await delay(0)
  t.is(second.closed, 1)
  t.is(opened.length, 3)
})

test('who gives up is answered at once; who still waits gets the codec', async (t) => {
  let open = () => {}
  const { shared, opened, asked } = sharing(never, () => new Promise<void>((resolve) => (open = resolve)))
  const controller = new AbortController()
  const hasty = shared.lend({ signal: controller.signal })
  const patient = shared.lend({})
  controller.abort('enough')
  const error = await t.throwsAsync(hasty, { instanceOf: AbortedError })
  t.is(error.cause, 'enough')
  await t.throwsAsync(shared.lend({ signal: controller.signal }), { code: 'ERR_ABORTED' })
  t.false(asked[0]?.signal?.aborted)
  open()
  t.is((await patient).codec, opened[0] as unknown as Codec)
  t.is(opened[0]?.closed, 0)
  t.is(asked.length, 1)
})

test('an opening that nobody waits for is stopped, and what it opens all the same is closed', async (t) => {
  const openings: (() => void)[] = []
  const { shared, opened, asked } = sharing(never, () => new Promise<void>((resolve) => openings.push(resolve)))
  const controllers = [new AbortController(), new AbortController()]
  const calls = controllers.map(({ signal }) => shared.lend({ signal }))
  for (const controller of controllers) controller.abort()
  for (const call of calls) await t.throwsAsync(call, { code: 'ERR_ABORTED' })
  t.true(asked[0]?.signal?.aborted)
  // It is nobody's any more: who comes now waits for one of his own.
  const next = shared.lend({})
  for (const open of openings) open()
  t.is((await next).codec, opened[1] as unknown as Codec)
  t.deepEqual(
    opened.map(({ closed }) => closed),
    [1, 0],
  )
})
