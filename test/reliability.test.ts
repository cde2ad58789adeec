/** docs/reliability.md says what the source does. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(`${root}/docs/reliability.md`, 'utf8')

/** The number that an expression of digits, products, powers and shifts stands for. */
function numberOf(expression: string): number {
  const plain = expression.replaceAll('_', '').replace(/\s/g, '')
  const [, factor = '1', base, power] = /^(?:(\d+)\*)?(\d+)(?:\*\*|\^)(\d+)$/.exec(plain) ?? []
  if (base !== undefined) return Number(factor) * Number(base) ** Number(power)
  const [, value, shift] = /^(\d+)<<(\d+)$/.exec(plain) ?? []
  return value === undefined ? Number(plain) : Number(value) * 2 ** Number(shift)
}

test('every bound is that of its constant', (t) => {
  const rows = Array.from(page.matchAll(/^\| ([^|]+) \| ([^|]+) \| `(\w+)` \| `([^`]+)` \|$/gm))
  t.true(rows.length > 40)
  for (const [, what, bound = '', name, file] of rows) {
    const source = readFileSync(`${root}/${file}`, 'utf8')
    const stated = new RegExp(`const ${name} = ([^\\n/]+?)\\s*(?://.*)?\\n`).exec(source)?.[1] ?? ''
    const first = /^\d+( \* \d+)?(\^\d+)?/.exec(bound)?.[0] ?? ''
    t.is(numberOf(first), numberOf(stated), `${what}: ${name} of ${file} is ${stated}`)
  }
})

test('every file that is named is there', (t) => {
  const named = Array.from(page.matchAll(/`((?:src|test|native|scripts)\/[^`*]+)`/g), ([, path]) => path as string)
  t.deepEqual(
    named.filter((path) => !existsSync(`${root}/${path}`)),
    [],
  )
  const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'))
  for (const [, name] of page.matchAll(/`npm run ([\w:]+)`/g)) t.true(Object.hasOwn(scripts, name as string), name)
})
