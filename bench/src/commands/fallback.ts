/** `cleric bench fallback`. */

import { type Cli, type CodecChoice, codecOptions, integerFrom, lend, table } from 'cleric/internal'
import { benchFallback, type FallbackReport } from '../fallback.js'
import { centre, openImageSet } from '../image-set.js'
import { drawNotTissue } from '../not-tissue.js'
import { percent } from './percent.js'

interface Options extends CodecChoice {
  readonly data?: string
  readonly limit?: number
  readonly side: number
  /** false: --no-classic. */
  readonly classic: boolean
}

const QUALITIES = [0, 25, 50, 75, 100]
/** What a tile may cost more than the best way to store it. */
const ALLOWED = 0.05

export function addFallbackBench(cli: Cli): void {
  cli.add<Options>(
    'bench fallback',
    'Whether any picture is stored worse than it must be: those that are no tissue, or a folder of images',
    (command) =>
      codecOptions(command)
        .option('--data <folder>', 'images in place of the drawn ones')
        .option('--side <pixels>', 'side of the drawn ones, and most of others', integerFrom(64, 1024), 256)
        .option('--no-classic', 'compare with the network alone')
        .option('--limit <count>', 'most images', integerFrom(1, 1e6)),
    async (session, { data, limit, side, classic, ...choice }) => {
      using loan = await lend({ ...session.codec(choice), signal: session.signal })
      const pictures =
        data === undefined ? (await drawNotTissue(side)).slice(0, limit) : await imagesOf(data, side, limit)
      const progress = session.progress('bench fallback')
      const report = await benchFallback({
        ...{ codec: loan.codec, qualities: QUALITIES, pictures, signal: session.signal, isCompared: classic },
        onProgress: (done, total) => progress.update(done, total, `${done} of ${total}`),
      })
      progress.end()
      return { json: report, text: text(report), ok: report.worst <= ALLOWED }
    },
    'cleric bench fallback --json',
  )
}

async function imagesOf(folder: string, side: number, limit?: number) {
  using set = await openImageSet(folder, 0, limit)
  const images = await Promise.all(set.names.map((_, i) => set.read(i, [0])))
  return images.flat().map(({ name, image }) => ({ name, image: centre(image, side) }))
}

function text({ rows, worst, saved }: FallbackReport): string {
  const lines = rows.map(({ name, quality, network, stored, codec, psnr, classic, best }) => [
    ...[name, String(quality), network.toFixed(3), stored.toFixed(3), codec, psnr.toFixed(2)],
    ...[classic?.toFixed(3) ?? '-', best ?? '-', percent(stored / Math.min(network, classic ?? network) - 1)],
  ])
  const head = ['picture', 'quality', 'network', 'stored', 'by', 'PSNR', 'best classic', 'which', 'worse by']
  const less = saved.map(({ quality, share }) => `${percent(share)} at ${quality}`).join(', ')
  return [
    'Bits + lambda * error a pixel; the less, the better',
    table([head, ...lines]),
    '',
    `at most ${percent(worst)} worse than the best; less than with the network alone: ${less}`,
  ].join('\n')
}
