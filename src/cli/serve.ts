import type { CodecChoice } from '../codec/arguments.js'
import { createViewerServer } from '../server/server.js'
import { type Cli, codecOptions } from './cli.js'
import { integerFrom } from './quantities.js'

interface Options extends CodecChoice {
  readonly port: number
  readonly host: string
}

export function addServe(cli: Cli): void {
  cli.add<Options>(
    'serve <path>',
    'Viewer and tile server for an archive, or for all under a folder',
    (command) =>
      codecOptions(
        command
          .option('--port <number>', 'port to listen on, 0 for any that is free', integerFrom(0, 65535), 8080)
          .option('--host <address>', 'address to listen on; others than your own machine reach 0.0.0.0', '127.0.0.1'),
      ),
    async (session, options, path) => {
      const server = await createViewerServer(path as string, session.codec(options))
      const address = await server.listen({ host: options.host, port: options.port })
      session.announce({ address }, `${path}: ${address} (Ctrl-C stops)`)
      await new Promise<void>((resolve) => {
        if (session.signal.aborted) resolve()
        else session.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await server.close()
      return null
    },
    'cleric serve slides/ --port 8080',
  )
}
