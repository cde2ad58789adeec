import { createCli } from './commands.js'

// The first Ctrl-C stops cleanly; the second, with no handler left, at once.
const stop = new AbortController()
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())

const { stdout, stderr } = process
let isCut = false
for (const stream of [stdout, stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // A reader such as `| head` may close the pipe early, which is no reason to fail.
    if (error.code === 'EPIPE' || isCut) return
    isCut = true
    process.exitCode = 1
    if (stream === stdout) stderr.write(`cleric: what it has to say can't be written: ${error.message}\n`)
  })
}
/** Waits until stdout has taken them: a reader may be slower than what is written for it, and memory is not for what waits. */
const writeBytes = (bytes: Uint8Array) =>
  new Promise<void>((resolve, reject) => {
    stdout.write(bytes, (error) => {
      if (!error) return resolve()
      // The command says it, and the stream needn't once more.
      isCut = true
      reject(unwritten(error))
    })
  })

/** What is said where only part of an output could go to stdout, which whoever reads it has now. */
function unwritten(error: NodeJS.ErrnoException): Error {
  const why = error.code === 'EPIPE' ? 'it was closed before all of the output was written' : error.message
  return Object.assign(new Error(`stdout: ${why}`), { code: error.code })
}
// What is lost on the way is no success. Node.js ends with 13 by itself only where the main module is an ES module.
process.exitCode = 13
const status = await createCli({ stdin: process.stdin, stdout, stderr, writeBytes, signal: stop.signal }).run(
  process.argv.slice(2),
)
process.exitCode = isCut ? 1 : status
