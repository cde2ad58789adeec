/** What is planned before any pixel is read: where tiles lie, and what tells two runs apart. */
import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { CompressionPlan, type PlanOptions } from '../../src/compress/plan.js'
import { fill, WHITE } from '../../src/image/draw.js'
import type { SlideSource } from '../../src/slide/source.js'
import { memorySlide } from '../slides.js'

const OPTIONS: PlanOptions = {
  ...{ tile: 64, background: 'auto', layout: 'compat', label: true, macro: true },
  ...{ isChecked: true, floor: {}, keepSourceTiles: 'auto' },
}
const DEVICE = { kind: 'webgpu', name: 'one' }
const HEAD = Uint8Array.from([1, 2, 3])

/** Three levels: 3 x 2 tiles, 2 x 1 and 1. */
function slideAt(path: string): SlideSource {
  const sizes = [
    [150, 100],
    [75, 50],
    [30, 20],
  ] as const
  return memorySlide(
    sizes.map(([width, height]) => fill(width, height, WHITE)),
    { path },
  )
}

test('tiles are counted level by level and row by row, and cover each level once', (t) => {
  const plan = new CompressionPlan(slideAt('memory'), [0, 1, 2], OPTIONS)
  t.is(plan.totalTiles, 9)
  t.is(plan.totalPixels, 150 * 100 + 75 * 50 + 30 * 20)
  const areas = Array.from({ length: plan.totalTiles }, (_, number) => {
    const { level, left, top, width, height } = plan.area(plan.place(number))
    return [level, left, top, width, height]
  })
  t.deepEqual(areas, [
    [0, 0, 0, 64, 64],
    [0, 64, 0, 64, 64],
    [0, 128, 0, 22, 64],
    [0, 0, 64, 64, 36],
    [0, 64, 64, 64, 36],
    [0, 128, 64, 22, 36],
    [1, 0, 0, 64, 50],
    [1, 64, 0, 11, 50],
    [2, 0, 0, 30, 20],
  ])
})

test('where levels are left out, places count those kept, and areas are of the level that the slide has', (t) => {
  const plan = new CompressionPlan(slideAt('memory'), [1, 2], OPTIONS)
  t.is(plan.totalTiles, 3)
  t.deepEqual(plan.place(2), { level: 1, column: 0, row: 0 })
  t.is(plan.area(plan.place(2)).level, 2)
})

test('whatever changes the bytes of an archive changes the fingerprint of its run', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-plan-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'slide')
  writeFileSync(path, 'slide')
  const print = (
    {
      head = HEAD,
      levels = [0, 1],
      device = DEVICE,
      learntAfter = 6,
      isOfAny = false,
      version,
      ...changed
    }: Partial<PlanOptions> & {
      head?: Uint8Array
      levels?: readonly number[]
      device?: typeof DEVICE
      learntAfter?: number
      isOfAny?: boolean
      version?: string
    } = {},
    from = path,
  ) => {
    const plan = new CompressionPlan(slideAt(from), levels, { ...OPTIONS, ...changed })
    return Buffer.from(plan.fingerprint(head, isOfAny ? null : { ...device, learntAfter }, version)).toString('hex')
  }
  const first = print()
  t.is(first.length, 64)
  t.is(print(), first)
  const others = {
    head: print({ head: Uint8Array.from([1, 2, 4]) }),
    levels: print({ levels: [0, 2] }),
    background: print({ background: 'keep' }),
    'kind of device': print({ device: { ...DEVICE, kind: 'cpu' } }),
    'name of device': print({ device: { ...DEVICE, name: 'two' } }),
    'what is learnt from': print({ learntAfter: 8 }),
    'how far what is learnt serves': print({ segmentTiles: 16 }),
    'no device': print({ isOfAny: true }),
    'version of this package': print({ version: '0.0.1-other' }),
    unchecked: print({ isChecked: false }),
    floor: print({ floor: { minPsnr: 40 } }),
    lossless: print({ floor: { lossless: true } }),
    'no file': print({}, 'synthetic:150x100:1'),
  }
  // The file keeps its size: only its time tells that it is another one.
  const { atime, mtimeMs } = statSync(path)
  utimesSync(path, atime, new Date(mtimeMs + 5000))
  const all = [first, ...Object.values({ ...others, 'time of the file': print() })]
  t.is(new Set(all).size, all.length)
})
