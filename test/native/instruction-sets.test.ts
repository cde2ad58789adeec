/**
 * Nothing that one instruction set compiled may run on a processor without it.
 *
 * The linker keeps one of several weak symbols of a name: inline functions, instances of templates, vtables. Were one
 * of them in the object files of AVX-512's kernels and of anything else, all might get AVX-512's, and an older
 * processor would end with an illegal instruction. What initialises a global would even run as soon as the addon is
 * loaded.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ava, { type ExecutionContext } from 'ava'
import { addon } from '../../src/native/addon.js'

const run = promisify(execFile)
const built = dirname(
  process.env.CLERIC_ADDON || fileURLToPath(new URL('../../build/Release/cleric.node', import.meta.url)),
)
const list = join(built, 'objects.txt')
const compiler = process.env.CXX || 'g++'

const there = (tool: string) =>
  run(tool, ['--version']).then(
    () => true,
    () => false,
  )
const lacking = (await there('nm')) ? ((await there(compiler)) ? '' : `no ${compiler}`) : 'no nm'

/** A test that is skipped, visibly, without a compiler's tools, except in continuous integration. */
function test(title: string, body: (t: ExecutionContext) => Promise<void>): void {
  if (lacking === '' || process.env.CI === 'true') ava(title, body)
  else ava.skip(`${title} (${lacking})`, body)
}

interface Objects {
  /** An instruction set; "common": what runs on all. */
  readonly group: string
  readonly files: readonly string[]
}

/** What in the object files could take an instruction set to where it isn't. */
async function leaks(objects: readonly Objects[]): Promise<string[]> {
  const found: string[] = []
  /** The group that first defined a weak symbol. */
  const owners = new Map<string, string>()
  for (const { group, files } of objects) {
    const { stdout } = await run('nm', ['-P', '-C', ...files], { maxBuffer: 2 ** 28 })
    for (const line of stdout.split('\n')) {
      // A name, which may have blanks, its type, and of those that are defined the value.
      const [, name, type] = /^(.*) ([A-Za-z]) [\da-f]+ ?[\da-f]*$/.exec(line) ?? []
      if (name === undefined || type === undefined) continue
      if (group !== 'common' && name.startsWith('_GLOBAL__sub_I_')) found.push(`${group} initialises ${name}`)
      // DW.ref. is a pointer to what handles exceptions, which the runtime library has: no code of ours.
      if (!'WVu'.includes(type) || name.startsWith('DW.ref.')) continue
      const owner = owners.get(name) ?? group
      owners.set(name, owner)
      if (owner !== group) found.push(`${name} is of ${owner} and of ${group}`)
    }
  }
  return [...new Set(found)]
}

test('no weak symbol stands in the object files of two instruction sets, or of one and the rest', async (t) => {
  const groups = new Map<string, string[]>()
  for (const line of (await readFile(list, 'utf8')).trim().split('\n')) {
    const [group = '', file = ''] = line.split(/ (.*)/)
    groups.set(group, [...(groups.get(group) ?? []), file])
  }
  const objects = [...groups].map(([group, files]) => ({ group, files }))
  for (const isa of addon().cpuInstructionSets()) t.true(groups.has(isa), isa)
  for (const { group, files } of objects) {
    t.true(files.length > 5, group)
    for (const file of files) t.true(existsSync(file), `${file} is not built: run scripts/setup --test`)
  }
  t.deepEqual(await leaks(objects), [])
})

test('such symbols would be found', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cleric-objects-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const source = `
    inline int plain(int v) { return v + 1; }
    template <typename T> T instance(T v) { return v * 2; }
    struct Base { virtual ~Base() {} };
    int at_load();
    namespace {
    int own(int v) { return v + 3; }
    }
    namespace ISA {
    inline int of_the_set(int v) { return v + 4; }
    int (*const kept[])(int) = {plain, instance<int>, own, of_the_set};
    Base made;
    }`
  const objects = await Promise.all(
    ['common', 'one', 'two'].map(async (group) => {
      const file = join(folder, `${group}.cc`)
      await writeFile(file, source)
      await run(compiler, ['-c', '-O0', `-DISA=${group}`, file, '-o', `${file}.o`])
      return { group, files: [`${file}.o`] }
    }),
  )
  t.deepEqual(await leaks(objects.slice(0, 1)), [])
  const found = await leaks(objects)
  for (const symbol of ['plain\\(int\\)', 'instance<int>', 'vtable for Base', 'Base::~Base']) {
    for (const group of ['one', 'two']) {
      t.true(
        found.some((leak) => new RegExp(`${symbol}.* is of common and of ${group}`).test(leak)),
        `${symbol} ${group}`,
      )
    }
  }
  t.true(found.some((leak) => leak.startsWith('two initialises ')))
  t.false(found.some((leak) => /own|of_the_set/.test(leak)))
})
