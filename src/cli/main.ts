#!/usr/bin/env node
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
const status = await createCli({ stdout, stderr, signal: stop.signal }).run(process.argv.slice(2))
process.exitCode = isCut ? 1 : status
