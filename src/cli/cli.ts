/**
 * Shared by all commands: --json and --quiet, progress on stderr, one line for a failure, the exit status
 * (0 done, 1 failed, 2 wrong usage), and a clean stop on Ctrl-C.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { ArchiveOptions } from '../archive/archive.js'
import type { CodecChoice } from '../codec/arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import { DEVICE_KINDS } from '../codec/device-kinds.js'
import { failureOf } from './failure.js'
import { oneLine, printable, printableJson } from './printable.js'
import { Progress } from './progress.js'
import { oneOf } from './quantities.js'

interface Stream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** Where a command line runs. */
export interface Io {
  readonly stdout: Stream
  readonly stderr: Stream
  /** What "-" reads, as an input. */
  readonly stdin?: AsyncIterable<Uint8Array>
  /** Writes bytes to stdout, for "-" as an output; resolves when there is room for more. */
  readonly writeBytes?: (bytes: Uint8Array) => Promise<void>
  /** Used instead of opening a model on a device. */
  readonly codec?: PayloadCodec
  /** Fires on Ctrl-C. */
  readonly signal?: AbortSignal
}

/** The result of a command. */
export interface Outcome {
  /** Printed with --json. */
  readonly json: object
  /** Printed without; may have several lines. */
  readonly text: string
  /** false: the command did its work, and the answer is bad news (exit status 1). */
  readonly ok?: boolean
}

/** One run of one command. */
export class Session {
  readonly #io: Io
  readonly #quiet: boolean
  readonly #json: boolean
  /** What people read goes to stderr, as stdout has the bytes of the output. */
  readonly #isPiped: boolean
  /** Fires on Ctrl-C. */
  readonly signal: AbortSignal

  constructor(
    io: Io,
    { quiet, json, isPiped }: { readonly quiet: boolean; readonly json: boolean; readonly isPiped: boolean },
  ) {
    this.#io = io
    this.#isPiped = isPiped
    this.#quiet = quiet
    this.#json = json
    this.signal = io.signal ?? new AbortController().signal
  }

  /** A bar or lines on stderr; silent with --quiet. */
  progress(label: string): Progress {
    return new Progress(label, this.#quiet ? null : this.#io.stderr)
  }

  /** Lines for people before the end. */
  note(text: string): void {
    if (!this.#quiet && !this.#json) this.#forPeople.write(`${printable(text)}\n`)
  }

  /** What a command has to say at its end. */
  conclude({ json, text }: Outcome): void {
    if (this.#json) this.#io.stdout.write(`${printableJson(JSON.stringify(json, null, 2))}\n`)
    else if (!this.#isPiped || !this.#quiet) this.#forPeople.write(`${printable(text)}\n`)
  }

  get #forPeople(): Stream {
    return this.#isPiped ? this.#io.stderr : this.#io.stdout
  }

  /** What stdin gives, for "-" as an input. */
  get stdin(): AsyncIterable<Uint8Array> {
    if (!this.#io.stdin) throw new InvalidArgumentError('Expected a file: there is no stdin here.')
    return this.#io.stdin
  }

  /** Writes bytes of the output "-" to stdout. */
  async writeBytes(bytes: Uint8Array): Promise<void> {
    if (!this.#io.writeBytes) throw new InvalidArgumentError('Expected a file: stdout takes no bytes here.')
    await this.#io.writeBytes(bytes)
  }

  /** A line about what went wrong without being a failure, on stderr. */
  warn(text: string): void {
    if (!this.#quiet) this.#io.stderr.write(`${oneLine(text)}\n`)
  }

  /** A line about what failed while the command goes on, on stderr, also with --quiet: the exit status alone wouldn't say what. */
  complain(text: string): void {
    this.#io.stderr.write(`${oneLine(text)}\n`)
  }

  /** Says something before the end: for commands that run until they are stopped. */
  announce(json: object, text: string): void {
    this.#io.stdout.write(`${this.#json ? printableJson(JSON.stringify(json)) : oneLine(text)}\n`)
  }

  /** Which codec the options of a command mean. */
  codec({ model, device, adapter }: CodecChoice): CodecChoice & { codec?: PayloadCodec } {
    return this.#io.codec ? { codec: this.#io.codec } : { model, device, adapter }
  }

  /** How an archive is opened: with that codec, until Ctrl-C. */
  opening(options: CodecChoice): ArchiveOptions {
    return { ...this.codec(options), signal: this.signal }
  }
}

export type Action<Options> = (session: Session, options: Options, ...positional: string[]) => Promise<Outcome | null>

export class Cli {
  readonly #io: Io
  readonly #program: Command
  /** Commands, and groups of them, that aren't declared yet. */
  readonly #later = new Map<string, { readonly declare: () => Promise<void>; readonly about: string | undefined }>()
  #status = 0
  #hasRun = false

  constructor(io: Io, version: string) {
    this.#io = io
    this.#program = new Command('cleric')
      .description('Learned compression of whole-slide images')
      .version(version)
      .exitOverride()
      .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
      .showHelpAfterError('(--help shows how it is used)')
  }

  /**
   * Declares a command, e.g. `add('info <file>', 'What it is', (command) => command.option(...), run)`. A name of two
   * words makes one of a group, e.g. `bench rd`.
   */
  add<Options>(
    usage: string,
    about: string,
    configure: (command: Command) => Command,
    action: Action<Options>,
    example: string,
  ): void {
    const [, group, rest] = /^(\w+) (\w.*)$/.exec(usage) ?? []
    const parent = group === undefined ? this.#program : this.#group(group)
    const command = configure(parent.command(rest ?? usage).description(about))
      .option('--json', 'print one JSON object on stdout and nothing else')
      .option('--quiet', 'no progress and no warnings')
      .addHelpText('after', `\nExample:\n  $ ${example}`)
    command.action(async (...parameters: unknown[]) => {
      // The last may be a list, as in `<file> [more...]`.
      const positional = parameters.slice(0, -2).flat() as string[]
      this.#hasRun = true
      const { json = false, quiet = false, ...options } = command.opts<{ json?: boolean; quiet?: boolean }>()
      const isPiped = (options as { output?: unknown }).output === '-'
      try {
        if (isPiped && json) throw new InvalidArgumentError('Expected no --json with -o -: stdout has the output.')
        const session = new Session(this.#io, { json, quiet, isPiped })
        const outcome = await action(session, options as Options, ...positional)
        if (!outcome) return
        session.conclude(outcome)
        this.#status = outcome.ok === false ? 1 : 0
      } catch (error) {
        this.#fail(error, json, `${group === undefined ? '' : `${group} `}${command.name()}`)
      }
    })
  }

  /**
   * A command that `declare` adds when it, or help on it, is asked for.
   *
   * @param about of a group of commands: the line by which it is listed until then
   */
  addLater(name: string, declare: () => Promise<void>, about?: string): void {
    this.#later.set(name, { declare, about })
  }

  /** Declares the command that these arguments are for; if they name none, as those that ask for help, all of them. */
  async #declare(name: string | undefined): Promise<void> {
    if (name === '--version' || name === '-V') return
    const isNamed = name !== undefined && this.#later.has(name)
    for (const [each, { declare, about }] of this.#later) {
      if (isNamed && each !== name) continue
      if (about !== undefined) this.#group(each).description(about)
      if (about !== undefined && !isNamed) continue
      await declare()
      this.#later.delete(each)
    }
  }

  /** All commands, those of the groups whose packages are there too, as the shells' completions describe them. */
  async commands(): Promise<readonly Command[]> {
    await this.#declare(undefined)
    for (const [name, { declare }] of this.#later) {
      // A group without its package is a command without commands.
      await declare().catch(() => {})
      this.#later.delete(name)
    }
    return this.#program.createHelp().visibleCommands(this.#program)
  }

  #group(name: string): Command {
    const known = this.#program.commands.find((command) => command.name() === name)
    return known ?? this.#program.command(name).description(`see: cleric ${name} --help`)
  }

  /**
   * Sets the exit status and says why: on stderr, and with --json on stdout.
   *
   * @param name of the command; null if it is on stderr already, with the usage
   */
  #fail(error: unknown, json: boolean, name: string | null): void {
    const { status, code, message, stack } = failureOf(error)
    this.#status = status
    if (json) this.#io.stdout.write(`${printableJson(JSON.stringify({ error: { code, message } }, null, 2))}\n`)
    if (name !== null) this.#io.stderr.write(`cleric ${name}: ${stack ? printable(stack) : oneLine(message)}\n`)
  }

  /** Runs a command line (without node and script); returns the exit status. */
  async run(argv: readonly string[]): Promise<number> {
    this.#status = 0
    // What follows "--" is not ours.
    const end = argv.indexOf('--')
    const json = (end < 0 ? argv : argv.slice(0, end)).includes('--json')
    const name = argv[0] === 'help' ? argv[1] : argv[0]
    try {
      await this.#declare(name)
    } catch (error) {
      this.#fail(error, json, name ?? '')
      return this.#status
    }
    try {
      await this.#program.parseAsync(argv, { from: 'user' })
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error
      if (error.exitCode !== 0) this.#fail(error, json, null)
    }
    if (this.#hasRun) await closeIdleCodecs()
    return this.#status
  }
}

/** Frees the devices that commands ran on, without which the process would live on for a while. */
async function closeIdleCodecs(): Promise<void> {
  const codecs = await import('../codec/default-codec.js')
  codecs.closeIdleCodecs()
}

/** The option of commands that read pixels of image files. */
export function cacheDirOption(command: Command): Command {
  const what = 'where an image file of more than 256 MiB of pixels is decoded to, on the way (default: $TMPDIR)'
  return command.option('--cache-dir <folder>', what)
}

/** The options of {@link CodecChoice}. */
export function codecOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--device <kind>', 'where the network runs: auto, webgpu or cpu')
        .argParser(oneOf(DEVICE_KINDS))
        .default('auto' satisfies CodecChoice['device']),
    )
    .option('--adapter <name>', 'WebGPU adapter, or a part of its name (see: cleric devices)')
    .option('--model <name>', 'model: s, m, or a file (default: s)')
}
