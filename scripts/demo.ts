/**
 * `npm run demo`: compresses a slide, decodes and checks every tile, compares with the slide, and sums up.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { basename, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openArchive } from '../src/archive/archive.js'
import { validateArchive } from '../src/archive/validate.js'
import { Cli, codecOptions } from '../src/cli/cli.js'
import { compareWithProgress } from '../src/cli/compare.js'
import { compressWithProgress } from '../src/cli/compress.js'
import { byteSize, decibels, duration, rateText } from '../src/cli/quantities.js'
import type { CodecChoice } from '../src/codec/arguments.js'
import { openSlide } from '../src/slide/open.js'

interface Options extends CodecChoice {
  readonly slide?: string
}

const REAL = fileURLToPath(new URL('../../shared/data/slides/CMU-1-Small-Region.svs', import.meta.url))
const DRAWN = 'synthetic:1536x1024'
/** The clone's own command, from its root. */
const COMMAND = 'node_modules/.bin/cleric'
const FOLDER = fileURLToPath(new URL('../build/demo', import.meta.url))
/** Enough for the tiles of a small slide: they are checked and then compared, and decoded only once. */
const CACHE = 2 ** 29

const stop = new AbortController()
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())
const { stdout, stderr } = process
const cli = new Cli({ stdout, stderr, signal: stop.signal }, '')

cli.add<Options>(
  'demo',
  'Compress a slide, check the archive, compare it with the slide',
  (command) =>
    codecOptions(command.option('--slide <file>', 'slide to use (default: a real one if there is, else drawn)')),
  async (session, { slide: given, ...options }) => {
    const path = given ?? (existsSync(REAL) ? REAL : DRAWN)
    const slide = await openSlide(path)
    mkdirSync(FOLDER, { recursive: true })
    const name = path.startsWith('synthetic:') ? 'synthetic' : basename(path).replace(/\.[^.]*$/, '')
    const output = relative('.', `${FOLDER}/${name}.cleric.tif`)
    const size = slide.levels.map(({ width, height }) => `${width} x ${height}`).join(', ')
    session.note(`Slide     ${path}`)
    session.note(`          ${size}${slide.bytes > 0 ? `, ${byteSize(slide.bytes)}` : ', drawn by the program'}`)
    session.note('Without a GPU the network runs on the processor: about a megapixel a second on two recent cores.')

    const result = await compressWithProgress(session, slide, output, { ...options, overwrite: true })
    session.note(`Compressed on ${result.device} in ${duration(result.seconds)}; now decoding and checking`)

    const started = performance.now()
    const archive = await openArchive(output, { ...session.codec(options), cacheBytes: CACHE })
    const progress = session.progress('check')
    const validation = await validateArchive(archive, {
      signal: session.signal,
      onProgress: (done, total) => progress.update(done, total, `tile ${done} of ${total}`),
    })
    progress.end()
    const seconds = (performance.now() - started) / 1000
    const levels = await compareWithProgress(session, slide, archive)
    archive.close()
    slide.close()

    const { bytes, sourceBytes, bpp } = result
    const serve = `${COMMAND} serve ${output}${options.model ? ` --model ${options.model}` : ''}`
    const quality = levels.map(({ level, psnr, msSsim }) => {
      const similarity = msSsim === null ? '' : `, MS-SSIM ${msSsim.toFixed(4)}`
      return `Level ${level}   PSNR ${decibels(psnr)}${similarity}`
    })
    const text = [
      '',
      `Archive   ${output}`,
      `          ${byteSize(bytes)}, ${rateText(bpp, sourceBytes > 0 ? sourceBytes / bytes : null)}`,
      ...quality,
      validation.ok
        ? `Checked   all ${validation.tiles} tiles decode (${result.blankTiles} blank), in ${duration(seconds)}`
        : `BROKEN    ${validation.bad.length} of ${validation.tiles} tiles don't decode; see: ${COMMAND} validate ${output}`,
      `View      ${serve}`,
    ].join('\n')
    return { json: { ...result, decodeSeconds: seconds, validation, levels, serve }, text, ok: validation.ok }
  },
  'npm run demo -- --slide slide.svs',
)

process.exitCode = await cli.run(['demo', ...process.argv.slice(2)])
