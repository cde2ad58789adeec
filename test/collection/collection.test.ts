/** Several slides and folders of them: which are found, what becomes of each, and how a run is gone on with. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { compressCollection } from '../../src/collection/compress-collection.js'
import { findSlides } from '../../src/collection/find-slides.js'
import { MANIFEST_NAME, type ManifestRow, readManifest } from '../../src/collection/manifest.js'
import { encodeJournalHead } from '../../src/compress/journal.js'
import { openArchive } from '../../src/index.js'
import { run } from '../cli/run.js'
import { losslessCodec } from '../payload-codec.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-collection-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (...names: string[]) => join(folder, ...names)

/** Slides of 200 x 100 pixels in a folder, by their names. */
async function slides(name: string, ...files: string[]): Promise<string> {
  for (const [i, file] of files.entries()) {
    mkdirSync(at(name, file, '..'), { recursive: true })
    const background = { r: 200, g: 10 * i, b: 90 }
    await sharp({ create: { width: 200, height: 100, channels: 3, background } })
      .composite([{ input: { create: { width: 20 + i, height: 30, channels: 3, background: 'blue' } } }])
      .tiff({ tile: true, compression: 'deflate' })
      .toFile(at(name, file))
  }
  return at(name)
}

const rowsOf = async (output: string) => [...(await readManifest(join(output, MANIFEST_NAME))).values()]

test('slides are found in folders to the bottom, and each has a name of its own', async (t) => {
  const root = await slides('found', 'b.tif', 'a/x.tiff', 'a/x.svs', 'a/.hidden/y.tif', 'a/Y.TIF', 'done.cleric.tif')
  writeFileSync(at('found', 'notes.txt'), '')
  writeFileSync(at('found', 'picture.png'), '')
  symlinkSync(at('found', 'b.tif'), at('found', 'link.tif'))
  symlinkSync(at('found', 'a'), at('found', 'loop'))
  symlinkSync(at('found', 'nothing'), at('found', 'dangling.tif'))
  const found = await findSlides([root, at('found', 'picture.png')])
  t.deepEqual(
    found.map(({ path, archive }) => `${path.slice(root.length + 1)} ${archive}`),
    [
      'a/Y.TIF a/Y.cleric.tif',
      'a/x.svs a/x.svs.cleric.tif',
      'a/x.tiff a/x.tiff.cleric.tif',
      'b.tif b.cleric.tif',
      'link.tif link.cleric.tif',
      'picture.png picture.cleric.tif',
    ],
  )
  t.is((await findSlides([at('found', 'b.tif'), root])).length, 5, 'a slide that is named twice is one')
  await t.throwsAsync(findSlides([at('absent')]), { code: 'ENOENT' })
})

test('two slides whose archives would have one name are refused', async (t) => {
  const root = await slides('twice', 'one/s.tif', 'two/s.tif')
  const inputs = [join(root, 'one'), join(root, 'two')]
  await t.throwsAsync(findSlides(inputs), { instanceOf: RangeError, message: /Expected slides of different names/ })
})

test('a folder is compressed, one archive a slide, and a slide that fails holds up none', async (t) => {
  const root = await slides('scans', 'a/one.tif', 'two.tif')
  writeFileSync(join(root, 'broken.svs'), 'no slide')
  const output = at('archives')
  const { status, stdout, stderr, json } = await run('compress', root, '--output-dir', output, '--json', '--jobs', '2')
  t.is(status, 1)
  t.regex(stderr, /broken\.svs: .*\n/)
  const { rows: _, ...facts } = json()
  t.like(facts, { manifest: join(output, MANIFEST_NAME), done: 2, failed: 1, kept: 0 })
  t.true(facts.bytes > 0 && facts.sourceBytes > 0, stdout)
  const [one, broken, two] = (await rowsOf(output)).sort((a, b) => (a.archive < b.archive ? -1 : 1)) as ManifestRow[]
  t.like(one, { archive: 'a/one.cleric.tif', state: 'done', error: null })
  t.like(broken, { archive: 'broken.cleric.tif', state: 'failed', result: null })
  t.is(broken?.error?.code, 'ERR_UNSUPPORTED_SLIDE')
  t.is(two?.result?.bytes, statSync(join(output, 'two.cleric.tif')).size)
  using archive = await openArchive(join(output, 'a', 'one.cleric.tif'))
  t.is(archive.levels[0]?.width, 200)
  const table = readFileSync(join(output, 'cleric-manifest.csv'), 'utf8').split('\r\n')
  t.is(table.length, 5)
  t.regex(table[0] as string, /^source,archive,state,source_bytes,bytes,bpp,/)
})

test('--resume keeps what is done and does what is new, changed or failed', async (t) => {
  const root = await slides('again', 'a.tif', 'b.tif', 'c.tif')
  writeFileSync(join(root, 'bad.svs'), 'no slide')
  const output = at('again-archives')
  const go = (...more: string[]) => run('compress', root, '--output-dir', output, '--json', ...more)
  t.like((await go()).json(), { done: 3, failed: 1 })
  const refused = await go()
  t.is(refused.status, 1)
  t.regex(refused.stderr, /is there already: go on from that run \(--resume\)/)
  const before = statSync(join(output, 'a.cleric.tif')).mtimeMs

  rmSync(join(root, 'bad.svs'))
  rmSync(join(output, 'b.cleric.tif'))
  const resumed = await go('--resume')
  t.is(resumed.status, 0, resumed.stderr)
  t.like(resumed.json(), { done: 3, failed: 0, kept: 2 })
  t.is(statSync(join(output, 'a.cleric.tif')).mtimeMs, before)
  t.true(existsSync(join(output, 'b.cleric.tif')))

  // A slide that has changed since isn't the one in its archive, which isn't overwritten without a word.
  utimesSync(join(root, 'c.tif'), 1, 1)
  const changed = await go('--resume')
  t.is(changed.status, 1)
  t.regex(changed.stderr, /c\.tif: .*c\.cleric\.tif exists already/)
  t.like((await go('--resume', '--overwrite')).json(), { done: 3, failed: 0, kept: 2 })
  // Nor is an archive of other options.
  t.like((await go('--resume', '--quality', '31')).json(), { done: 0, failed: 3, kept: 0 })
})

test('a run that was killed before it noted a finished archive finds it whole', async (t) => {
  const root = await slides('killed', 'a.tif')
  const output = at('killed-archives')
  const first = await compressCollection([root], output, { codec: losslessCodec() })
  const manifest = join(output, MANIFEST_NAME)
  const lines = readFileSync(manifest, 'utf8').trimEnd().split('\n')
  t.is(lines.length, 3)
  // The note that it is done is only half there.
  writeFileSync(manifest, `${lines[0]}\n${lines[1]}\n${lines[2]?.slice(0, 40)}`)
  const again = await compressCollection([root], output, { codec: losslessCodec(), resume: true })
  t.like(again, { done: 1, failed: 0, kept: 0 })
  t.deepEqual(again.rows[0]?.result, first.rows[0]?.result)

  // An archive that was there before the slide was begun isn't the one that it would have become.
  const begun = JSON.parse(lines[1] as string)
  const { size, mtimeNs, ino } = statSync(join(output, 'a.cleric.tif'), { bigint: true })
  begun.replaces = [size, mtimeNs, ino].map((number) => number.toString(36)).join('-')
  writeFileSync(manifest, `${lines[0]}\n${JSON.stringify(begun)}\n`)
  t.like(await compressCollection([root], output, { codec: losslessCodec(), resume: true }), { done: 0, failed: 1 })
  const over = { codec: losslessCodec(), resume: true, overwrite: true }
  t.like(await compressCollection([root], output, over), { done: 1, failed: 0 })
})

test('what another version or device began is begun again, and the archive is that of one run', async (t) => {
  const root = await slides('upgraded', 'a.tif')
  const output = at('upgraded-archives')
  const first = await compressCollection([root], output, { codec: losslessCodec() })
  const manifest = join(output, MANIFEST_NAME)
  const [head, begun] = readFileSync(manifest, 'utf8').split('\n')
  writeFileSync(manifest, `${head}\n${begun}\n`)
  const archive = join(output, 'a.cleric.tif')
  renameSync(archive, `${archive}.partial`)
  writeFileSync(`${archive}.journal`, encodeJournalHead(new Uint8Array(32).fill(7), first.rows[0]?.result?.tiles ?? 0))
  const again = await compressCollection([root], output, { codec: losslessCodec(), resume: true })
  t.like(again, { done: 1, failed: 0 }, again.rows[0]?.error?.message)
  t.deepEqual(again.rows[0]?.result, first.rows[0]?.result)
})

test('a file that is no manifest is refused, and wrong use is said', async (t) => {
  const root = await slides('wrong', 'a.tif')
  mkdirSync(at('wrong-archives'))
  writeFileSync(at('wrong-archives', MANIFEST_NAME), 'something else\n')
  const resumed = await run('compress', root, '--output-dir', at('wrong-archives'), '--resume')
  t.regex(resumed.stderr, /is no manifest of cleric: line 1/)
  t.is(readFileSync(at('wrong-archives', MANIFEST_NAME), 'utf8'), 'something else\n')
  for (const argv of [[root], [join(root, 'a.tif'), join(root, 'a.tif')], [join(root, 'a.tif'), '--jobs', '2']]) {
    const { status, stderr } = await run('compress', ...argv)
    t.is(status, 2)
    t.regex(stderr, /take --output-dir FOLDER/)
  }
  t.is((await run('compress', root, '--output-dir', at('x'), '-o', at('y'))).status, 2)
  await t.throwsAsync(compressCollection([root], at('x'), { jobs: 0 }), { instanceOf: RangeError })
  await t.throwsAsync(compressCollection('a.tif' as never, at('x')), { instanceOf: TypeError })
})

test('what every slide would fail by ends the run', async (t) => {
  const root = await slides('aborted', 'a.tif', 'b.tif')
  const stop = new AbortController()
  const options = { codec: losslessCodec(), signal: stop.signal, onRow: () => stop.abort() }
  await t.throwsAsync(compressCollection([root], at('aborted-archives'), options), { code: 'ERR_ABORTED' })
  const states = (await rowsOf(at('aborted-archives'))).map(({ state }) => state)
  t.deepEqual(states, ['done'])
})
