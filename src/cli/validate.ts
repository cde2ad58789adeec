import { openArchive } from '../archive/archive.js'
import { type Validation, validateArchive } from '../archive/validate.js'
import type { CodecChoice } from '../codec/arguments.js'
import { type Cli, codecOptions, type Session } from './cli.js'
import { oneLine } from './printable.js'
import { counted, table } from './quantities.js'
import { eachWithoutOutput } from './several.js'

interface Options extends CodecChoice {
  readonly quick?: boolean
}

export function addValidate(cli: Cli): void {
  cli.add<Options>(
    'validate <file...>',
    'Decode and check everything in archives; list each bad tile',
    (command) =>
      codecOptions(
        command.option('--quick', 'compare everything with its checksum, but decode nothing; takes seconds'),
      ),
    async (session, options, ...files) =>
      eachWithoutOutput(session, files, async (file) => {
        const validation = await validate(session, file, options)
        return { json: validation, text: describe(validation), ok: validation.ok }
      }),
    'cleric validate slide.cleric.tif',
  )
}

export async function validate(session: Session, file: string, { quick, ...options }: Options): Promise<Validation> {
  const progress = session.progress('validate')
  // Each tile is needed once.
  const archive = await openArchive(file, { ...session.opening(options), cacheBytes: 0 })
  try {
    const validation = await validateArchive(archive, {
      quick,
      signal: session.signal,
      onProgress: (done, total) => progress.update(done, total, `tile ${done} of ${total}`),
    })
    if (!validation.checksums) {
      progress.end()
      const what = 'is an old archive, without checksums: damage to its overview and images may go unnoticed'
      session.warn(`${file} ${what}${quick ? ', and its tiles were not checked (leave --quick out)' : ''}`)
    }
    return validation
  } finally {
    progress.end()
    archive.close()
  }
}

function describe({ ok, tiles, bad, unreadable, badImages, badBytes, counts }: Validation): string {
  const places = unreadable.map(({ level, column, row }) => `level ${level}, column ${column}, row ${row}`)
  const missing = places.map((place) => `background, as the slide could not be read there: ${place}`)
  missing.push(...more(unreadable, counts.unreadable, 'tile that is background', 'tiles that are background'))
  const sound =
    tiles > 0
      ? `${tiles === 1 ? 'The only tile is' : `All ${tiles} tiles are`} sound`
      : 'Head, overview and associated images are sound'
  if (ok) return [sound, ...missing].join('\n')
  const rows = bad.map(({ level, column, row, reason }) => [String(level), String(column), String(row), reason])
  const images = badImages.map(({ name, reason }) => oneLine(`image ${name}: ${reason}`))
  const bytes = badBytes.map(({ offset, length, reason }) => `bytes ${offset} to ${offset + length}: ${reason}`)
  const heading =
    tiles > 0 && counts.bad === 0
      ? sound
      : `${counts.bad} of ${counted(tiles, 'tile')} ${counts.bad === 1 ? 'is' : 'are'} bad`
  return [
    heading,
    ...(bad.length > 0 ? [table([['level', 'column', 'row', 'reason'], ...rows])] : []),
    ...more(bad, counts.bad, 'bad tile'),
    ...images,
    ...more(badImages, counts.badImages, 'bad image'),
    ...bytes,
    ...more(badBytes, counts.badBytes, 'such range of bytes', 'such ranges of bytes'),
    ...missing,
  ].join('\n')
}

/** A line for what isn't listed, if there is any. */
function more(listed: readonly unknown[], count: number, one: string, several?: string): string[] {
  return count > listed.length
    ? [`and ${counted(count - listed.length, `more ${one}`, several && `more ${several}`)}`]
    : []
}
