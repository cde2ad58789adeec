#!/usr/bin/env node
import { createCli } from './commands.js'

// The first Ctrl-C stops cleanly; the second, with no handler left, at once.
const stop = new AbortController()
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())

const { stdout, stderr } = process
// A reader such as `| head` may close the pipe early, which is no reason to fail.
for (const stream of [stdout, stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}
process.exitCode = await createCli({ stdout, stderr, signal: stop.signal }).run(process.argv.slice(2))
