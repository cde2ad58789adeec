/** The commands of @cleric/bench and @cleric/farm: loaded when asked for, and what is said where that package isn't installed. */
import test from 'ava'
import { Cli } from '../../src/cli/cli.js'
import { createCli } from '../../src/cli/commands.js'
import { addPackage } from '../../src/cli/packages.js'

const BENCH = { folder: 'bench', about: 'Measures' }

function output() {
  const written = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text
    },
  })
  return { written, io: { stdout: stream('stdout'), stderr: stream('stderr') } }
}

test('the commands are those of the packages beside this one', async (t) => {
  for (const [group, names] of Object.entries({
    bench: ['rd', 'nuclei', 'ablation', 'speed'],
    farm: ['submit', 'work', 'status', 'retry', 'pause', 'resume', 'drain', 'manifest'],
  })) {
    const { io, written } = output()
    t.is(await createCli(io).run([group, '--help']), 0)
    for (const name of names) t.regex(written.stdout, new RegExp(`\\n  ${name} \\[options\\] `))
  }
})

test('the package is loaded once, and only when one of its commands is asked for', async (t) => {
  const { io, written } = output()
  let loads = 0
  const addCommands = (cli: Cli) => {
    loads++
    const greet = async () => ({ json: {}, text: 'good day' })
    cli.add('bench greet', 'Greets', (command) => command, greet, 'cleric bench greet')
  }
  const cli = new Cli(io, '1.0.0')
  addPackage(cli, BENCH, async () => ({ addCommands }))
  t.is(await cli.run(['--help']), 0)
  t.regex(written.stdout, /\n {2}bench /)
  t.is(loads, 0)
  t.is(await cli.run(['help', 'bench']), 0)
  t.regex(written.stdout, /\n {2}greet \[options\] +Greets\n/)
  t.is(await cli.run(['bench', 'greet']), 0)
  t.true(written.stdout.endsWith('good day\n'))
  t.is(loads, 1)
})

test('without the package the command says where it comes from', async (t) => {
  const { io, written } = output()
  const cli = new Cli(io, '1.0.0')
  const missing: string = '@cleric/not-installed'
  addPackage(cli, BENCH, () => import(missing))
  t.is(await cli.run(['bench', 'rd']), 1)
  t.regex(
    written.stderr,
    /^cleric bench: .*@cleric\/not-installed.*; @cleric\/bench comes with a clone of the repository.*\n$/,
  )
})

test('a fault inside the package is not taken for its absence', async (t) => {
  const { io, written } = output()
  const cli = new Cli(io, '1.0.0')
  addPackage(cli, BENCH, async () => {
    throw new SyntaxError('Unexpected token')
  })
  t.is(await cli.run(['bench', 'rd']), 1)
  t.regex(written.stderr, /^cleric bench: SyntaxError: Unexpected token/)
  t.notRegex(written.stderr, /clone/)
})
