import { openArchive } from '../archive/archive.js'
import { type Validation, validateArchive } from '../archive/validate.js'
import type { CodecChoice } from '../codec/arguments.js'
import { type Cli, codecOptions, type Session } from './cli.js'
import { table } from './quantities.js'

export function addValidate(cli: Cli): void {
  cli.add<CodecChoice>(
    'validate <file>',
    'Decode and check everything in an archive; list each bad tile',
    codecOptions,
    async (session, options, file) => {
      const validation = await validate(session, file as string, options)
      return { json: validation, text: describe(validation), ok: validation.ok }
    },
    'cleric validate slide.cleric.tif',
  )
}

export async function validate(session: Session, file: string, options: CodecChoice): Promise<Validation> {
  const progress = session.progress('validate')
  // Each tile is needed once.
  const archive = await openArchive(file, { ...session.opening(options), cacheBytes: 0 })
  try {
    return await validateArchive(archive, {
      signal: session.signal,
      onProgress: (done, total) => progress.update(done, total, `tile ${done} of ${total}`),
    })
  } finally {
    progress.end()
    archive.close()
  }
}

function describe({ ok, tiles, bad, unreadable, badImages }: Validation): string {
  const places = unreadable.map(({ level, column, row }) => `level ${level}, column ${column}, row ${row}`)
  const missing = places.map((place) => `background, as the slide could not be read there: ${place}`)
  if (ok) return [`All ${tiles} tiles are sound`, ...missing].join('\n')
  const rows = bad.map(({ level, column, row, reason }) => [String(level), String(column), String(row), reason])
  const images = badImages.map(({ name, reason }) => `image ${name}: ${reason}`)
  const heading = `${bad.length} of ${tiles} tiles are bad`
  return [
    heading,
    ...(bad.length > 0 ? [table([['level', 'column', 'row', 'reason'], ...rows])] : []),
    ...images,
    ...missing,
  ].join('\n')
}
