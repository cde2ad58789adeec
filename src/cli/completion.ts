/**
 * `cleric completion`: what a shell needs to complete commands, options and their values. It is made from the commands'
 * own descriptions whenever it is asked for, so that it is never behind them; pressing Tab starts no program.
 */
import { type Command, InvalidArgumentError, type Option } from 'commander'
import type { Cli } from './cli.js'

/** What follows an option: nothing, one of some words, a file, a folder, or something that nobody can guess. */
type Value = 'none' | 'file' | 'folder' | 'other' | readonly string[]

interface CompletedOption {
  /** Such as ["-o", "--output"]. */
  readonly flags: readonly string[]
  readonly about: string
  readonly value: Value
}

interface CompletedCommand {
  readonly name: string
  readonly about: string
  readonly options: readonly CompletedOption[]
  /** Words that its first argument may be; empty where it takes files. */
  readonly words: readonly string[]
  readonly commands: readonly CompletedCommand[]
}

const FILES = ['file', 'path', 'image', 'name...', 'model...', 'files...']

function valueAfter({ flags, long, argChoices, parseArg }: Option): Value {
  const [, name] = /[<[]([^>\]]+)[>\]]/.exec(flags) ?? []
  if (name === undefined) return 'none'
  const choices = argChoices ?? (parseArg as { choices?: readonly string[] } | undefined)?.choices
  if (choices) return choices
  if (name === 'folder' || name === 'dir') return 'folder'
  return FILES.includes(name) || long === '--model' ? 'file' : 'other'
}

/** What is completed of a command. */
function describe(command: Command): CompletedCommand {
  const help = command.createHelp()
  const options = help.visibleOptions(command).map((option) => ({
    flags: [option.short, option.long].filter((flag) => flag !== undefined),
    about: option.description,
    value: valueAfter(option),
  }))
  const commands = help.visibleCommands(command).filter((each) => each.name() !== 'help')
  const words = command.registeredArguments[0]?.argChoices ?? []
  return { name: command.name(), about: command.description(), options, words, commands: commands.map(describe) }
}

/** The commands with those of groups, each with the words that lead to it. */
function leaves(commands: readonly CompletedCommand[], before = ''): [words: string, command: CompletedCommand][] {
  return commands.flatMap((command) => {
    const words = `${before}${command.name}`
    return [[words, command] as [string, CompletedCommand], ...leaves(command.commands, `${words} `)]
  })
}

const names = (commands: readonly CompletedCommand[]) => commands.map(({ name }) => name).join(' ')
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

function bash(commands: readonly CompletedCommand[]): string {
  const values = leaves(commands).flatMap(([words, { options }]) =>
    options.flatMap(({ flags, value }) => {
      if (value === 'none' || value === 'file') return []
      const patterns = flags.map((flag) => quoted(`${words} ${flag}`)).join('|')
      if (value === 'folder') return [`    ${patterns}) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;`]
      if (value === 'other') return [`    ${patterns}) compopt +o default; return ;;`]
      return [
        `    ${patterns}) mapfile -t COMPREPLY < <(compgen -W ${quoted(value.join(' '))} -- "$current"); return ;;`,
      ]
    }),
  )
  const options = leaves(commands).map(
    ([words, command]) =>
      `      ${quoted(words)}) words=${quoted(command.options.flatMap(({ flags }) => flags).join(' '))} ;;`,
  )
  const first = leaves(commands).flatMap(([words, command]) => {
    const next = command.commands.length > 0 ? names(command.commands) : command.words.join(' ')
    return next === '' ? [] : [`      ${quoted(words)}) words=${quoted(next)} ;;`]
  })
  const groups = commands.filter(({ commands: own }) => own.length > 0).map(({ name }) => name)
  return `# Completion of cleric for bash: source <(cleric completion bash)
_cleric() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=\${COMP_WORDS[1]} first=2 words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W ${quoted(`${names(commands)} help --help --version`)} -- "$current")
    return
  fi
  case $command in
    ${groups.length > 0 ? groups.join('|') : '-'}) if ((COMP_CWORD > 2)); then command+=" \${COMP_WORDS[2]}" first=3; fi ;;
  esac
  case "$command $previous" in
${values.join('\n')}
  esac
  if [[ $current == -* ]]; then
    case $command in
${options.join('\n')}
    esac
  elif ((COMP_CWORD == first)); then
    case $command in
${first.join('\n')}
    esac
  fi
  if [[ -n $words ]]; then mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"); fi
}
complete -o default -o bashdefault -F _cleric cleric`
}

/** A text between brackets of zsh's _arguments. */
const inBrackets = (text: string) => text.replace(/[[\]\\:]/g, '\\$&')

function zshOption({ flags, about, value }: CompletedOption): string {
  const after = {
    none: '',
    file: ':file:_files',
    folder: ':folder:_files -/',
    other: ':value: ',
  }
  const tail = typeof value === 'string' ? after[value as keyof typeof after] : `:value:(${value.join(' ')})`
  const text = quoted(`[${inBrackets(about)}]${tail}`)
  if (flags.length === 1) return `${flags[0]}${text}`
  return `${quoted(`(${flags.join(' ')})`)}{${flags.join(',')}}${text}`
}

function zshCommand(command: CompletedCommand, indent: string): string {
  if (command.commands.length > 0) return zshCommands(command.commands, indent)
  const rest = command.words.length > 0 ? `'1:value:(${command.words.join(' ')})'` : "'*:file:_files'"
  return `${indent}_arguments ${[...command.options.map(zshOption), rest].join(` \\\n${indent}  `)}`
}

function zshCommands(commands: readonly CompletedCommand[], indent: string): string {
  const described = commands.map(({ name, about }) => quoted(`${name.replaceAll(':', '\\:')}:${about}`))
  const cases = commands.map((command) => `${indent}    ${command.name})\n${zshCommand(command, `${indent}      `)} ;;`)
  return [
    `${indent}local -a commands=(${described.join(' ')})`,
    `${indent}_arguments -C '1: :->command' '*:: :->rest'`,
    `${indent}case $state in`,
    `${indent}  command) _describe command commands ;;`,
    `${indent}  rest) case $words[1] in`,
    ...cases,
    `${indent}  esac ;;`,
    `${indent}esac`,
  ].join('\n')
}

function zsh(commands: readonly CompletedCommand[]): string {
  return `#compdef cleric
# Completion of cleric for zsh: source <(cleric completion zsh), or a file _cleric in a folder of $fpath
_cleric() {
  local state line
${zshCommands(commands, '  ')}
}
if [[ $funcstack[1] == _cleric ]]; then _cleric "$@"; else compdef _cleric cleric; fi`
}

function fish(commands: readonly CompletedCommand[]): string {
  const lines = leaves(commands).flatMap(([words, command]) => {
    const [group, own] = words.split(' ') as [string, string?]
    const at = own === undefined ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${group}`
    const inside = `__fish_seen_subcommand_from ${group}${own === undefined ? '' : `; and __fish_seen_subcommand_from ${own}`}`
    const options = command.options.map(({ flags, about, value }) => {
      const [long, short] = [flags.find((flag) => flag.startsWith('--')), flags.find((flag) => /^-[^-]/.test(flag))]
      const names = `${long ? ` -l ${long.slice(2)}` : ''}${short ? ` -s ${short.slice(1)}` : ''}`
      const what = { none: '', file: ' -r -F', folder: " -x -a '(__fish_complete_directories)'", other: ' -x' }
      const taken = typeof value === 'string' ? what[value as keyof typeof what] : ` -x -a ${quoted(value.join(' '))}`
      return `complete -c cleric -n ${quoted(inside)}${names}${taken} -d ${fishQuoted(about)}`
    })
    const word = command.words.map((each) => `complete -c cleric -n ${quoted(inside)} -f -a ${each}`)
    const name = `complete -c cleric -n ${quoted(at)} -f -a ${command.name} -d ${fishQuoted(command.about)}`
    return [name, ...word, ...options]
  })
  return ['# Completion of cleric for fish: cleric completion fish | source', ...lines].join('\n')
}

const fishQuoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

const SHELLS: Readonly<Record<string, (commands: readonly CompletedCommand[]) => string>> = { bash, zsh, fish }

export function addCompletion(cli: Cli): void {
  cli.add(
    'completion',
    'Print what bash, zsh or fish need to complete commands, options and their values',
    (command) =>
      command.addArgument(command.createArgument('<shell>', 'bash, zsh or fish').choices(Object.keys(SHELLS))),
    async (_, __, shell) => {
      const write = SHELLS[shell as string]
      if (!write) throw new InvalidArgumentError(`Expected one of ${Object.keys(SHELLS).join(', ')}.`)
      const script = write((await cli.commands()).filter((each) => each.name() !== 'help').map(describe))
      return { json: { shell, script }, text: script }
    },
    'source <(cleric completion bash)',
  )
}
