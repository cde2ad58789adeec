/** Which archives the server finds and how many it keeps open. */
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import type { Archive } from '../../src/archive/archive.js'
import { compressSlide } from '../../src/compress/compress.js'
import { TileCache } from '../../src/image/tile-cache.js'
import { Library } from '../../src/server/library.js'
import type { ServedSlide } from '../../src/server/served-slide.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { losslessCodec } from '../payload-codec.js'

const MOST_OPEN = 32
const DEEPEST = 8
const folder = mkdtempSync(join(tmpdir(), 'cleric-library-'))
const codec = losslessCodec()
const one = join(folder, 'one.cleric.tif')

test.before(() => compressSlide(new SyntheticSlide('synthetic:64x64:2'), one, { codec, background: 'keep' }))
test.after.always(() => rmSync(folder, { recursive: true }))

/** A folder of copies of the archive under these names. */
async function libraryOf(name: string, names: readonly string[]): Promise<Library> {
  const root = join(folder, name)
  for (const copy of names) {
    mkdirSync(join(root, copy, '..'), { recursive: true })
    copyFileSync(one, join(root, copy))
  }
  return Library.open(root, { codec, cache: new TileCache(1 << 24) })
}

const isOpen = (archive: Archive) =>
  archive.readRegion({ x: 0, y: 0, level: 0, width: 8, height: 8 }).then(
    () => true,
    (error: { code: string }) => {
      if (error.code !== 'ERR_CLOSED') throw error
      return false
    },
  )
const archiveOf = ({ archive }: ServedSlide) => {
  if (!archive) throw new Error('no archive')
  return archive
}
const visited = async (library: Library, name: string) => {
  const archive = await library.visit(name, async (slide) => archiveOf(slide))
  if (!archive) throw new Error(`no ${name}`)
  return archive
}

test('so many archives stay open, the most recently used; one that is in use stays whatever else is asked for', async (t) => {
  const names = Array.from({ length: MOST_OPEN + 3 }, (_, i) => `${i}.cleric.tif`)
  const library = await libraryOf('many', names)
  const [first, second, third, ...others] = names as [string, string, string, ...string[]]
  const opened = new Map<string, Archive>()
  await library.visit(second, async (slide) => {
    const inUse = archiveOf(slide)
    for (const name of [first, third, ...others.slice(0, MOST_OPEN - 3)]) opened.set(name, await visited(library, name))
    t.is(opened.size, MOST_OPEN - 1)
    for (const [name, archive] of opened) t.true(await isOpen(archive), name)
    // Visited again, the first one is no longer that which has waited longest.
    t.is(await visited(library, first), opened.get(first) as Archive)
    await visited(library, others.at(-3) as string)
    t.true(await isOpen(opened.get(first) as Archive))
    t.false(await isOpen(opened.get(third) as Archive))
    t.true(await isOpen(inUse))
    await visited(library, others.at(-2) as string)
    t.false(await isOpen(opened.get(others[0] as string) as Archive))
    t.true(await isOpen(inUse))
  })
  const last = await visited(library, names.at(-1) as string)
  t.true(await isOpen(last))
  library.close()
  await nextTurn()
  t.false(await isOpen(last))
  t.false(await isOpen(opened.get(first) as Archive))
})

test('archives are found in folders, so deep and no deeper, by their name', async (t) => {
  const deep = (levels: number) => `${'d/'.repeat(levels)}x.cleric.tif`
  const names = ['b.cleric', 'a.cleric.tif', 'c.dat', 'cleric', deep(DEEPEST), deep(DEEPEST + 1)]
  const library = await libraryOf('deep', names)
  t.deepEqual(await library.list(), ['a.cleric.tif', 'b.cleric', deep(DEEPEST)])
  t.truthy(await library.visit('b.cleric', async ({ archive }) => archive))
  for (const name of ['c.dat', 'cleric', 'd', 'none.cleric.tif', 'a.cleric.tif\0', '../one.cleric.tif', '']) {
    t.is(await library.visit(name, async () => true), null, name)
  }
  library.close()
})

test('a folder beside it whose name begins alike is outside', async (t) => {
  const beside = await libraryOf('root-2', ['x.cleric.tif'])
  beside.close()
  const library = await libraryOf('root', ['x.cleric.tif'])
  symlinkSync(join(folder, 'root-2', 'x.cleric.tif'), join(folder, 'root', 'link.cleric.tif'))
  symlinkSync(join(folder, 'root', 'x.cleric.tif'), join(folder, 'root', 'inside.cleric.tif'))
  t.is(await library.visit('link.cleric.tif', async () => true), null)
  t.is(await library.visit('../root-2/x.cleric.tif', async () => true), null)
  t.true(await library.visit('inside.cleric.tif', async () => true))
  library.close()
})

test('a visit that fails is over, and one that is refused is tried anew', async (t) => {
  const library = await libraryOf('fails', ['x.cleric.tif'])
  let seen: Archive | undefined
  const fail = async (slide: ServedSlide) => {
    seen = archiveOf(slide)
    throw new Error('the visitor')
  }
  await t.throwsAsync(library.visit('x.cleric.tif', fail), { message: 'the visitor' })
  t.true(await isOpen(seen as Archive))
  library.close()
  await nextTurn()
  t.false(await isOpen(seen as Archive), 'nobody visits it any more')
})

test('a single file is the whole library: its neighbours are neither listed nor found', async (t) => {
  await libraryOf('single', ['a.cleric.tif', 'b.cleric.tif'])
  const library = await Library.open(join(folder, 'single', 'a.cleric.tif'), { codec, cache: new TileCache(1 << 24) })
  t.deepEqual(await library.list(), ['a.cleric.tif'])
  t.truthy(await visited(library, 'a.cleric.tif'))
  t.is(await library.visit('b.cleric.tif', async () => true), null)
})

test('a single file that is no slide is refused when the library is opened', async (t) => {
  const path = join(folder, 'no-slide.txt')
  writeFileSync(path, 'text')
  await t.throwsAsync(Library.open(path, { codec, cache: new TileCache(1 << 24) }), { code: 'ERR_UNSUPPORTED_SLIDE' })
})

test('what answers must not show is the folder, with a separator at its end', async (t) => {
  const library = await libraryOf('hidden', ['a.cleric.tif'])
  t.deepEqual(library.hiddenPaths, [[`${realpathSync(join(folder, 'hidden'))}/`, '']])
})

test('a visit that finds another file than was opened begins anew, once; other failures are its own', async (t) => {
  const library = await libraryOf('changed', ['a.cleric.tif'])
  let visits = 0
  const failing = (code: string, times: number) =>
    library.visit('a.cleric.tif', async () => {
      if (++visits <= times) throw Object.assign(new Error('failed'), { code })
      return visits
    })
  t.is(await failing('ERR_FILE_CHANGED', 1), 2)
  visits = 0
  await t.throwsAsync(failing('ERR_FILE_CHANGED', 9), { code: 'ERR_FILE_CHANGED' })
  t.is(visits, 2)
  visits = 0
  await t.throwsAsync(failing('ERR_CORRUPT_TILE', 1), { code: 'ERR_CORRUPT_TILE' })
  t.is(visits, 1)
})

test('the slide that an archive was made of lies beside it, under its name', async (t) => {
  const library = await libraryOf('sources', ['a.cleric.tif', 'b.cleric.tif', 'deep/a.cleric.tif'])
  writeFileSync(join(folder, 'sources', 'a.svs'), 'anything')
  t.is(await library.sourceOf('a.cleric.tif'), 'a.svs')
  t.is(await library.sourceOf('b.cleric.tif'), null)
  t.is(await library.sourceOf('deep/a.cleric.tif'), null)
})
