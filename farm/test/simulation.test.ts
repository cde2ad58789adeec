/** The simulation of a farm, where its outcome is known. */
import test from 'ava'
import { type Collection, type Farm, simulate } from '../../scripts/farm-simulation.js'
import { seededRandom } from '../../test/seeded-random.js'

const FARM: Farm = {
  ...{ workers: 4, tilesPerSecond: 10, storageBandwidth: Number.POSITIVE_INFINITY, redisSecondsPerSlide: 0 },
  ...{ secondsPerSlide: 0, failureSeconds: Number.POSITIVE_INFINITY, leaseSeconds: 30 },
}
/** Slides of 100 tiles, which a worker does in ten seconds. */
const SLIDES: Collection = { slides: 40, meanBytes: 1e5, spread: 0, bytesPerTile: 1e3, ratio: 0.5 }
const near = (t: { true: (is: boolean, what: string) => void }, value: number, wanted: number) =>
  t.true(Math.abs(value - wanted) <= 1e-9 * Math.max(1, wanted), `${value} where ${wanted} is due`)

test('slides that are alike take as many turns as it needs', (t) => {
  near(t, simulate(FARM, SLIDES).seconds, 100)
  near(t, simulate(FARM, SLIDES).encoding, 1)
  near(t, simulate(FARM, { ...SLIDES, slides: 41 }).seconds, 110)
  near(t, simulate(FARM, { ...SLIDES, slides: 41 }).tailSeconds, 10)
  near(t, simulate({ ...FARM, workers: 100 }, SLIDES).seconds, 10)
  near(t, simulate({ ...FARM, secondsPerSlide: 5 }, SLIDES).seconds, 150)
})

test('a storage that is too slow is what all wait for', (t) => {
  // Four workers want 60 KB a second together.
  near(t, simulate({ ...FARM, storageBandwidth: 6e4 }, SLIDES).seconds, 100)
  const slow = simulate({ ...FARM, storageBandwidth: 3e4 }, SLIDES)
  near(t, slow.seconds, 200)
  near(t, slow.storage, 1)
  near(t, slow.encoding, 0.5)
})

test('a Redis that is too slow, likewise', (t) => {
  const { seconds, redis } = simulate({ ...FARM, redisSecondsPerSlide: 20 }, SLIDES)
  // The last slide is begun when Redis has done with all of them.
  near(t, seconds, 40 * 20 + 10)
  t.true(redis > 0.98)
})

test('failures cost their leases, and the same seed gives the same', (t) => {
  // A slide takes ten seconds, and a failure comes every ten: each meets one or two.
  const { seconds } = simulate({ ...FARM, workers: 1, failureSeconds: 10 }, { ...SLIDES, slides: 1 })
  near(t, seconds, 40)
  const spread = { ...SLIDES, spread: 1, slides: 5000 }
  t.deepEqual(simulate(FARM, spread, 3), simulate(FARM, spread, 3))
  t.notDeepEqual(simulate(FARM, spread, 3), simulate(FARM, spread, 4))
})

test('sizes that are spread have the mean that they should have', (t) => {
  const { seconds, encoding } = simulate(FARM, { ...SLIDES, spread: 0.7, slides: 100_000 })
  t.true(Math.abs((seconds * encoding) / 250_000 - 1) < 0.02, `${seconds}`)
  const random = seededRandom(1)
  const mean = Array.from({ length: 10_000 }, random).reduce((sum, value) => sum + value, 0) / 10_000
  t.true(Math.abs(mean - 0.5) < 0.02)
})
