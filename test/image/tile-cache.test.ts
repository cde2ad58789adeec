/** Decoded tiles: one bound for all who share it, one decode for all who ask at once. */
import test from 'ava'
import { fill, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { TileCache } from '../../src/image/tile-cache.js'

const BYTES = 4 * 4 * 3
const tile = async (): Promise<Image> => fill(4, 4, WHITE)

/** Counts what is decoded, and decodes when told to. */
function decoder() {
  const waiting: (() => void)[] = []
  const made = {
    calls: 0,
    decode: () => {
      made.calls++
      return new Promise<Image>((resolve) => waiting.push(() => resolve(fill(4, 4, WHITE))))
    },
    finish: () => {
      for (const finish of waiting.splice(0)) finish()
    },
  }
  return made
}

test('all who share a cache stay within its bound together; the least recently used goes first, whosever it is', async (t) => {
  const cache = new TileCache(3 * BYTES)
  const spaces = [cache.space(), cache.space(), cache.space()] as const
  const [a, b, c] = spaces
  for (const [i, space] of spaces.entries()) {
    await space.get('x', BYTES, tile)
    t.is(cache.bytes, (i + 1) * BYTES)
  }
  await a.get('x', BYTES, tile)
  await a.get('y', BYTES, tile)
  t.is(cache.bytes, 3 * BYTES)
  t.deepEqual([a.has('x'), a.has('y'), b.has('x'), c.has('x')], [true, true, false, true])
  for (let i = 0; i < 50; i++) await b.get(`more ${i}`, BYTES, tile)
  t.is(cache.bytes, 3 * BYTES)
  t.false(a.has('x') || c.has('x'))
  b.clear()
  t.is(cache.bytes, 0)
})

test('what one owner clears is no loss of another', async (t) => {
  const cache = new TileCache(10 * BYTES)
  const [a, b] = [cache.space(), cache.space()]
  await Promise.all([a.get('x', BYTES, tile), b.get('x', BYTES, tile)])
  a.clear()
  t.is(cache.bytes, BYTES)
  t.true(b.has('x'))
})

test('a bound of 0 keeps nothing, and still decodes once for all who ask at once', async (t) => {
  const cache = new TileCache(0)
  const space = cache.space()
  const one = decoder()
  const asked = [1, 2, 3].map(() => space.get('x', BYTES, one.decode))
  // Others that are decoded meanwhile don't push it out: it is work, not yet something to keep.
  await Promise.all(['y', 'z'].map((key) => space.get(key, BYTES, tile)))
  asked.push(space.get('x', BYTES, one.decode))
  one.finish()
  await Promise.all(asked)
  t.is(one.calls, 1)
  t.is(cache.bytes, 0)
  t.false(space.has('x') || space.has('y') || space.has('z'))
})

test('a tile that is larger than the bound is given and not kept', async (t) => {
  const cache = new TileCache(BYTES)
  const space = cache.space()
  await space.get('small', BYTES, tile)
  await space.get('large', 5 * BYTES, tile)
  t.is(cache.bytes, 0)
  t.false(space.has('large'))
})

test('a failure is not kept, nor what all have given up', async (t) => {
  const cache = new TileCache(10 * BYTES)
  const space = cache.space()
  await t.throwsAsync(
    space.get('x', BYTES, () => Promise.reject(new Error('bad'))),
    { message: 'bad' },
  )
  t.false(space.has('x'))
  const stop = new AbortController()
  let isStopped = false
  const never = (signal: AbortSignal) =>
    new Promise<Image>((_, reject) => {
      signal.addEventListener('abort', () => {
        isStopped = true
        reject(new Error('stopped'))
      })
    })
  const left = space.get('y', BYTES, never, stop.signal)
  stop.abort()
  await t.throwsAsync(left, { name: 'AbortError' })
  t.true(isStopped)
  t.false(space.has('y'))
  t.is(cache.bytes, 0)
})

test('who gives up takes nothing from who still waits', async (t) => {
  const space = new TileCache(10 * BYTES).space()
  const one = decoder()
  let isStopped = false
  const decode = (stop: AbortSignal) => {
    stop.addEventListener('abort', () => (isStopped = true))
    return one.decode()
  }
  const stop = new AbortController()
  const [left, stays] = [space.get('x', BYTES, decode, stop.signal), space.get('x', BYTES, decode)]
  stop.abort()
  await t.throwsAsync(left, { name: 'AbortError' })
  t.false(isStopped)
  one.finish()
  t.is((await stays).width, 4)
  t.true(space.has('x'))
  t.is(one.calls, 1)
})

test('the failure of a tile that was cleared does not take away the one that was asked for since', async (t) => {
  const space = new TileCache(10 * BYTES).space()
  let fail = () => {}
  const failing = space.get(
    'x',
    BYTES,
    () => new Promise<Image>((_, reject) => (fail = () => reject(new Error('bad')))),
  )
  space.clear()
  await space.get('x', BYTES, tile)
  fail()
  await t.throwsAsync(failing, { message: 'bad' })
  t.true(space.has('x'))
})

test('a tile that is cleared while it is decoded reaches those who wait, and is not kept', async (t) => {
  const cache = new TileCache(10 * BYTES)
  const space = cache.space()
  const one = decoder()
  const asked = space.get('x', BYTES, one.decode)
  space.clear()
  one.finish()
  t.is((await asked).width, 4)
  t.is(cache.bytes, 0)
  t.false(space.has('x'))
})

test('the bound is a number of bytes', (t) => {
  for (const wrong of [-1, 0.5, Number.NaN, '1']) {
    t.throws(() => new TileCache(wrong as number), { message: /^Expected an integer from 0 to .* for limit/ })
  }
})
