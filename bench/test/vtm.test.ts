/** VTM by its programs' names, its configuration, and the BD-rates against it; the programs are stand-ins. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { psnr } from 'cleric'
import { fromImage, SyntheticSlide } from 'cleric/internal'
import { createCli } from '../../src/cli/commands.js'
import { type BenchCodec, isMissing, type MissingCodec } from '../src/codec.js'
import { openToolCodec } from '../src/tool-codecs.js'
import { fakeVtm } from './fake-vtm.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-vtm-test-'))
const { PATH } = process.env
test.afterEach.always(() => {
  process.env.PATH = PATH
})
test.after.always(() => rmSync(folder, { recursive: true }))

const drawn = (width: number, height: number) =>
  new SyntheticSlide('synthetic:600x600:3').readRegion({ x: 200, y: 200, level: 0, width, height })

async function open(path: string): Promise<BenchCodec | MissingCodec> {
  process.env.PATH = path
  return openToolCodec('vtm')
}

test.serial('VTM codes 4:4:4 of 10 bits at the QP asked for, under either name of its programs', async (t) => {
  const image = await drawn(45, 30)
  for (const ending of ['', 'Static']) {
    const codec = await open(fakeVtm(join(folder, `tree${ending}`), ending))
    if (isMissing(codec)) return t.fail(codec.reason)
    t.regex(codec.version, /^VTM 17\.0 \(encoder_intra_vtm\.cfg [0-9a-f]{12}\)$/)
    t.regex(codec.commands[0] as string, /^EncoderApp -c \{config\} .* --QP=\{setting\} /)
    // Without loss but for the conversion, which gives every value back.
    const bytes = await codec.encode(image, 0)
    t.deepEqual(await codec.decode(bytes, image), { ...image, data: new Uint8Array(image.data) })
    const coarse = await codec.encode(image, 37)
    t.true(coarse.length < bytes.length)
    const quality = psnr(image, await codec.decode(coarse, image))
    t.true(quality > 20 && quality < 40, `${quality}`)
  }
})

test.serial('another configuration is another version, as results depend on it', async (t) => {
  const tree = join(folder, 'other')
  const bin = fakeVtm(tree)
  const first = (await open(bin)) as BenchCodec
  appendFileSync(join(tree, 'cfg', 'encoder_intra_vtm.cfg'), 'QP : 22\n')
  t.not(((await open(bin)) as BenchCodec).version, first.version)
})

test.serial('the configuration is looked for where a linked program was built', async (t) => {
  const bin = fakeVtm(join(folder, 'linked'))
  const links = join(folder, 'links')
  mkdirSync(links)
  for (const name of ['EncoderApp', 'DecoderApp']) symlinkSync(join(bin, name), join(links, name))
  t.false(isMissing(await open(links)))
})

test.serial('what of VTM is missing is named', async (t) => {
  const tree = join(folder, 'part')
  const bin = fakeVtm(tree)
  rmSync(join(tree, 'cfg'), { recursive: true })
  t.regex(((await open(bin)) as MissingCodec).reason, /^cfg\/encoder_intra_vtm\.cfg is neither beside .*EncoderApp nor/)
  rmSync(join(bin, 'DecoderApp'))
  t.regex(((await open(bin)) as MissingCodec).reason, /^DecoderApp .*is not on the PATH .*docs\/bench\.md says how/)
  t.regex(((await open('')) as MissingCodec).reason, /^EncoderApp .*is not on the PATH/)
})

test.serial('bench rd gives BD-rates against VTM where it was run', async (t) => {
  process.env.PATH = fakeVtm(join(folder, 'anchor'))
  const images = join(folder, 'images')
  mkdirSync(images)
  await fromImage(await drawn(128, 128))
    .png()
    .toFile(join(images, 'a.png'))
  let [stdout, stderr] = ['', '']
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  }
  const argv = ['bench', 'rd', '--data', images, '--codecs', 'mozjpeg,vtm', '--levels', '0', '--limit', '1']
  t.is(await createCli(io).run([...argv, '--no-cache']), 0, stderr)
  const [, head, mozjpeg, vtm] = /BD-rate, level 0\n(.*)\n(.*)\n(.*)/.exec(stdout) ?? []
  t.regex(head as string, /^against +VVC intra \(VTM\), PSNR, pchip /)
  t.regex(mozjpeg as string, /^JPEG \(mozjpeg\) +-\d+\.\d %/)
  t.regex(vtm as string, /^VVC intra \(VTM\) +-( +-)*$/)
})
