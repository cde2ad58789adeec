import { packageVersion } from '../package.js'
import { PixelMemory } from '../pipe/pixel-memory.js'
import { servePipe } from '../pipe/serve.js'
import type { Cli } from './cli.js'
import { integerFrom } from './quantities.js'

interface Options {
  readonly memoryFd?: number
}

export function addPipe(cli: Cli): void {
  cli.add<Options>(
    'pipe',
    'Answer the requests of another program over stdin and stdout, as the Python package does (docs/python.md)',
    (command) =>
      command.option('--memory-fd <number>', 'open file that pixels are written to', integerFrom(3, 2 ** 20)),
    async (session, { memoryFd }) => {
      const { codec } = session.codec({})
      const memory = memoryFd === undefined ? undefined : new PixelMemory(memoryFd)
      const { stdin: input, stdout: output } = process
      await servePipe({ input, output, version: packageVersion(), memory, codec, signal: session.signal })
      return null
    },
    'cleric pipe < requests > answers',
  )
}
