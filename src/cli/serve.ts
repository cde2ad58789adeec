import { isIP } from 'node:net'
import { InvalidArgumentError, Option } from 'commander'
import type { CodecChoice } from '../codec/arguments.js'
import { publicName } from '../files/name.js'
import { createViewerServer, DEFAULT_CACHE_BYTES } from '../server/server.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { type Cli, codecOptions } from './cli.js'
import { failureOf, WithHint } from './failure.js'
import { byteCount, integerFrom, oneOf } from './quantities.js'

interface Options extends CodecChoice {
  readonly port: number
  readonly host: string
  readonly cache: number
  readonly icc: IccMode
  readonly allowHost?: readonly string[]
  readonly cors?: readonly string[]
  readonly token?: string
}

export function addServe(cli: Cli): void {
  cli.add<Options>(
    'serve <path>',
    'Viewer and tile server for a slide or archive, or for all under a folder',
    (command) =>
      codecOptions(
        command
          .option('--port <number>', 'port to listen on, 0 for any that is free', integerFrom(0, 65535), 8080)
          .option('--host <address>', 'address to listen on; others than your own machine reach 0.0.0.0', '127.0.0.1')
          .addOption(
            new Option('--cache <size>', 'memory for tiles, of all slides together, such as 512MiB or 2GB')
              .argParser(byteCount)
              .default(DEFAULT_CACHE_BYTES, `${DEFAULT_CACHE_BYTES / 2 ** 20}MiB`),
          )
          .option(
            '--icc <mode>',
            'ICC profiles in tiles whose address does not say: keep, srgb (converted), none',
            oneOf(ICC_MODES),
            'keep' as const,
          )
          .option(
            '--allow-host <name>',
            'name that requests may call this server, besides localhost and addresses; may be given again, *.NAME for all below it',
            each(hostName),
          )
          .option(
            '--cors <origin>',
            'origin whose pages may read slides, such as https://viewer.example.org; may be given again, * for all',
            each(origin),
          )
          .addOption(
            new Option('--token <text>', 'what who asks has to have; better in the variable, which others do not see')
              .env('CLERIC_TOKEN')
              .argParser(tokenText),
          ),
      ),
    async (session, options, path) => {
      const { cache: cacheBytes, icc, allowHost: allowHosts, cors, token, host, port } = options
      const server = await createViewerServer(path as string, {
        ...session.codec(options),
        ...{ cacheBytes, icc, allowHosts, cors, token },
        report: (error) => {
          const { code, message, stack } = failureOf(error)
          session.complain(`${code}: ${stack ?? message}`)
        },
      })
      try {
        const address = await server.listen({ host, port })
        if (!isLoopback(host) && token === undefined) {
          session.warn(`Whoever reaches ${address} sees the slides: there is no login without --token`)
        }
        const page = token === undefined ? '' : '; the page asks for /?token=TOKEN'
        session.announce({ address }, `${publicName(path)}: ${address} (Ctrl-C stops${page})`)
        await new Promise<void>((resolve) => {
          if (session.signal.aborted) resolve()
          else session.signal.addEventListener('abort', () => resolve(), { once: true })
        })
      } catch (error) {
        throw withHint(error, port)
      } finally {
        await server.close()
      }
      return null
    },
    'cleric serve slides/ --port 8080',
  )
}

function withHint(error: unknown, port: number): unknown {
  const { code } = error as { code?: unknown }
  if (code === 'EADDRINUSE') {
    return new WithHint(
      error,
      `; another program listens on port ${port}: choose one by --port, 0 for any that is free`,
    )
  }
  if (code === 'EACCES') return new WithHint(error, `; port ${port} may take root: choose one from 1024 on by --port`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new WithHint(error, '; --host takes an address of this machine')
  }
  return error
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Collects the values of an option that may be given again. */
function each(parse: (text: string) => string) {
  return (text: string, before: readonly string[] | undefined) => [...(before ?? []), parse(text)]
}

function hostName(text: string): string {
  if (/^(\*|(\*\.)?[\w-]+(\.[\w-]+)*)$/.test(text)) return text
  throw new InvalidArgumentError('Expected a name without port, such as slides.example.org, *.example.org or *.')
}

function origin(text: string): string {
  if (text === '*') return text
  if (URL.canParse(text) && /^https?:/.test(text) && new URL(text).origin === text) return text
  throw new InvalidArgumentError('Expected an origin, such as https://viewer.example.org, or *.')
}

function tokenText(text: string): string {
  if (/^[\w.~+/=-]{8,512}$/.test(text)) return text
  throw new InvalidArgumentError('Expected 8 to 512 letters, digits, and any of . _ ~ + / = -')
}
