/** Runs command lines in this process, with a lossless codec. */
import { createCli } from '../../src/cli/commands.js'
import { losslessCodec } from '../payload-codec.js'

export async function run(...argv: string[]) {
  let stdout = ''
  let stderr = ''
  const codec = losslessCodec()
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    codec,
  }
  const status = await createCli(io).run(argv)
  return { status, stdout, stderr, json: () => JSON.parse(stdout) }
}

/** Makes an archive of a small drawn slide; returns its path. */
export async function makeArchive(path: string, ...options: string[]): Promise<string> {
  const { status, stderr } = await run('compress', 'synthetic:400x300:5', '-o', path, '--tile', '128', ...options)
  if (status !== 0) throw new Error(stderr)
  return path
}
