/** Errors: each code belongs to one class, everywhere it is thrown, and is documented there. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { untilAborted } from '../src/concurrency/abort.js'
import { AbortedError, ClericError, CODES, SlideError, throwIfAborted } from '../src/errors.js'
import { asClericError } from '../src/native/addon.js'

const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const classOf = new Map<string, string>(
  Object.entries(CODES).flatMap(([name, codes]) => codes.map((code) => [code, name] as [string, string])),
)

/** The text of every source file of a kind below a folder. */
function sources(folder: string, kind: RegExp): { name: string; text: string }[] {
  return readdirSync(root(folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => kind.test(name))
    .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(root(`${folder}/${name}`), 'utf8') }))
}

test('no code belongs to two classes', (t) => {
  t.is(classOf.size, Object.values(CODES).flat().length)
})

test('every throw is of the class that its code belongs to, and every code is thrown', (t) => {
  const thrown = new Set<string>(['ERR_ABORTED'])
  for (const { name, text } of [...sources('src', /\.ts$/), ...sources('bench/src', /\.ts$/)]) {
    for (const [, made = '', code = ''] of text.matchAll(/new (\w*Error)\(\s*'(ERR_\w+)'/g)) {
      thrown.add(code)
      t.is(made, classOf.get(code) ?? 'no class', `${name}: ${code}`)
    }
  }
  for (const { name, text } of sources('native', /\.(cc|h)$/)) {
    for (const [code = ''] of text.matchAll(/\bERR_[A-Z_]+/g)) {
      thrown.add(code)
      t.true(classOf.has(code), `${name}: ${code}`)
      const native = Object.assign(new Error('said by the addon'), { code })
      const known = asClericError(native)
      t.true(known instanceof ClericError, `${name}: ${code}`)
      t.like(known, { code, cause: native })
      t.is((known as Error).constructor.name, classOf.get(code) ?? 'no class', `${name}: ${code}`)
    }
  }
  t.deepEqual(
    [...classOf.keys()].filter((code) => !thrown.has(code)),
    [],
  )
})

test('the compiler refuses a code of another class', (t) => {
  // @ts-expect-error ERR_CLOSED is no SlideError
  const slide = new SlideError('ERR_CLOSED', '')
  // @ts-expect-error ERR_CORRUPT_TILE has a class of its own
  const plain = new ClericError('ERR_CORRUPT_TILE', '')
  t.true(slide instanceof ClericError && plain instanceof ClericError)
})

test('docs/api.md lists every code beside its class', (t) => {
  const rows = [...readFileSync(root('docs/api.md'), 'utf8').matchAll(/^\| `(\w+Error)` \| (.*) \|$/gm)]
  const documented = rows.map(([, name, codes]) => [
    name,
    [...(codes as string).matchAll(/ERR_\w+/g)].map(String).sort(),
  ])
  t.deepEqual(
    Object.fromEntries(documented),
    Object.fromEntries(Object.entries(CODES).map(([name, codes]) => [name, [...codes].sort()])),
  )
})

test('an abort has the name that fetch and Node.js give it, and the reason of the signal', async (t) => {
  const signal = AbortSignal.abort('enough')
  const error = t.throws(() => throwIfAborted(signal), {
    instanceOf: AbortedError,
    name: 'AbortError',
    code: 'ERR_ABORTED',
  })
  t.is(error?.cause, 'enough')
  t.regex(String(error), /^AbortError: /)
  const stop = new AbortController()
  const waiting = untilAborted(new Promise(() => {}), stop.signal)
  stop.abort()
  await t.throwsAsync(waiting, { name: 'AbortError' })
})

test('other errors have the name of their class', (t) => {
  t.is(new SlideError('ERR_OPENSLIDE_READ', '').name, 'SlideError')
  t.is(new ClericError('ERR_CLOSED', '').name, 'ClericError')
})
