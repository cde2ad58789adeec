/**
 * The process that is measured: `process.ts JSON`, see `Run` in measure.ts. Prints one line of JSON.
 *
 * With a codec, the real one is opened and has encoded and decoded tiles before the work begins, and stays
 * open: its memory doesn't depend on how many tiles there are, and is part of the peak. The work's own tiles go through
 * a stand-in.
 */
import { createCli } from '../../src/cli/commands.js'
import { openCodec, type PayloadCodec } from '../../src/codec/codec.js'
import { lend } from '../../src/codec/default-codec.js'
import { compressSlide } from '../../src/compress/compress.js'
import { drawPool, endlessSlide, numberCodec, SIDE } from './endless-slide.js'
import type { Run } from './measure.js'

const { command, width, height, archive, output, codec: choice, leak } = JSON.parse(process.argv[2] as string) as Run
const NO_CODEC = {
  model: { name: 'none', hash: '0'.repeat(64) },
  device: { kind: 'cpu', name: 'none' },
  tilesInFlight: 2,
} as const

const pool = await drawPool()
const codec = choice && (await openCodec(choice))
if (codec) {
  // As many at once as the commands have under way.
  using loan = await lend({ codec })
  const encoding = pool.slice(0, loan.tilesInFlight).map((tile) => codec.encodePayload(tile, 60))
  const tile = { width: SIDE, height: SIDE, quality: 60 }
  await Promise.all((await Promise.all(encoding)).map((payload) => codec.decodePayload(payload, tile)))
}
// The archive is the same with and without a device, so that each command can be measured alone.
const standIn = numberCodec(pool, NO_CODEC)
const kept: unknown[] = []
if (leak) keepEverything(standIn)

const before = process.memoryUsage.rss()
const started = performance.now()
if (command === 'compress') {
  await compressSlide(endlessSlide(pool, width, height), archive, { codec: standIn, overwrite: true })
} else {
  const argv = command === 'export' ? ['export', archive, '-o', output, '--overwrite'] : ['validate', archive]
  const errors: string[] = []
  const stderr = { write: (text: string) => errors.push(text) }
  const status = await createCli({ stdout: { write: () => {} }, stderr, codec: standIn }).run([...argv, '--quiet'])
  if (status !== 0) throw new Error(`${command}: ${errors.join('')}`)
}
const seconds = (performance.now() - started) / 1000
codec?.close()
const { maxRSS } = process.resourceUsage()
console.log(
  JSON.stringify({ seconds, startBytes: before, peakBytes: maxRSS * 1024, device: codec?.device.name ?? null }),
)

/** What the measurement must find. */
function keepEverything(leaky: PayloadCodec): void {
  const { encodePayload, decodePayload } = leaky
  Object.assign(leaky, {
    encodePayload: (...[image, ...rest]: Parameters<typeof encodePayload>) => {
      kept.push(image)
      return encodePayload(image, ...rest)
    },
    decodePayload: async (...rest: Parameters<typeof decodePayload>) => {
      const image = await decodePayload(...rest)
      kept.push(image)
      return image
    },
  })
}
