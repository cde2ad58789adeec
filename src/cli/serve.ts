import { Option } from 'commander'
import type { CodecChoice } from '../codec/arguments.js'
import { createViewerServer, DEFAULT_CACHE_BYTES } from '../server/server.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { type Cli, codecOptions } from './cli.js'
import { byteCount, integerFrom, oneOf } from './quantities.js'

interface Options extends CodecChoice {
  readonly port: number
  readonly host: string
  readonly cache: number
  readonly icc: IccMode
}

export function addServe(cli: Cli): void {
  cli.add<Options>(
    'serve <path>',
    'Viewer and tile server for an archive, or for all under a folder',
    (command) =>
      codecOptions(
        command
          .option('--port <number>', 'port to listen on, 0 for any that is free', integerFrom(0, 65535), 8080)
          .option('--host <address>', 'address to listen on; others than your own machine reach 0.0.0.0', '127.0.0.1')
          .addOption(
            new Option('--cache <size>', 'memory for decoded tiles, of all archives together, such as 512MiB or 2GB')
              .argParser(byteCount)
              .default(DEFAULT_CACHE_BYTES, `${DEFAULT_CACHE_BYTES / 2 ** 20}MiB`),
          )
          .option(
            '--icc <mode>',
            'ICC profiles in tiles whose address does not say: keep, srgb (converted), none',
            oneOf(ICC_MODES),
            'keep' as const,
          ),
      ),
    async (session, options, path) => {
      const { cache: cacheBytes, icc } = options
      const server = await createViewerServer(path as string, { ...session.codec(options), cacheBytes, icc })
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
