/** Archives and exports as outputs of a command line: "-" is stdout, and a name that says another format is remarked on. */
import { createReadStream } from 'node:fs'
import { extname, join } from 'node:path'
import type { Session } from './cli.js'
import { DASH, withFolder } from './inputs.js'

/**
 * Calls `write` with the path that it is to write to. For stdout that is a file of its own, as what is written first is
 * known last; it follows when it is whole.
 */
export async function withArchiveOutput<T>(
  session: Session,
  output: string,
  write: (path: string) => Promise<T>,
): Promise<T> {
  if (output !== DASH) {
    warnOfName(session, output)
    return write(output)
  }
  return withFolder(async (folder) => {
    const path = join(folder, 'stdout.cleric.tif')
    const result = await write(path)
    for await (const bytes of createReadStream(path)) {
      session.signal.throwIfAborted()
      await session.writeBytes(bytes)
    }
    return result
  })
}

/** Endings of other images, for which programs that go by names would take it. */
const OTHER_NAME = /^\.(png|jpe?g|webp|avif|heic|gif|bmp|jp2|j2k|svs|ndpi|mrxs|scn|bif|czi|dcm|zip|json)$/i

function warnOfName(session: Session, path: string): void {
  const ending = extname(path)
  if (OTHER_NAME.test(ending)) session.warn(`${path} will hold a TIFF, whatever its name says`)
}
