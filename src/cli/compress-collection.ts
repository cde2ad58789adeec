/** `compress` of several slides, or of folders of them. */
import { type CollectionOptions, type CollectionResult, compressCollection } from '../collection/compress-collection.js'
import type { CheckMode } from '../compress/run.js'
import type { Session } from './cli.js'
import { byteSize, counted, duration, timesSmaller } from './quantities.js'
import { warnOf } from './slide-options.js'

type Options = Omit<CollectionOptions, 'check'> & { readonly check?: CheckMode | false }

export async function compressManyWithProgress(
  session: Session,
  inputs: readonly string[],
  folder: string,
  { model, device, adapter, check, ...options }: Options,
): Promise<CollectionResult> {
  const progress = session.progress('compress')
  let [ended, total] = [0, 0]
  try {
    return await compressCollection(inputs, folder, {
      ...options,
      check: check === false ? 'none' : check,
      ...session.codec({ model, device, adapter }),
      signal: session.signal,
      onProgress: ({ tiles, totalTiles }, { archive }) => {
        // Each of several slides at work counts as if it were alone: a bar that is a slide off does no harm.
        const share = totalTiles > 0 ? tiles / totalTiles : 1
        progress.update(ended + share, total, `${ended} of ${counted(total, 'slide')}, now ${archive}`)
      },
      onStart: (slides) => {
        total = slides
      },
      onRow: ({ source, warnings, error }) => {
        ended++
        progress.update(ended, total)
        if (error || warnings.length > 0) progress.end()
        warnOf(session, source, warnings)
        if (error) session.complain(`${source}: ${error.message}`)
      },
    })
  } finally {
    progress.end()
  }
}

export function collectionOutcome({ rows: _, ...result }: CollectionResult) {
  const { manifest, done, failed, kept, sourceBytes, bytes, seconds } = result
  const ratio = sourceBytes > 0 && bytes > 0 ? `, ${timesSmaller(sourceBytes / bytes, 'the slides')}` : ''
  const earlier = kept > 0 ? ` (${kept} by an earlier run)` : ''
  const lines = [
    `${counted(done, 'slide')}${earlier} in ${duration(seconds)}: ${byteSize(bytes)} of ${byteSize(sourceBytes)}${ratio}`,
    ...(failed > 0
      ? [`${failed} failed; once the reason is mended, the same command with --resume tries them again`]
      : []),
    manifest,
  ]
  return { json: result, text: lines.join('\n'), ok: failed === 0 }
}
