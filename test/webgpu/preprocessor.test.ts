// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the preprocessor's own syntax
import test from 'ava'
import fc from 'fast-check'
import { expand } from '../../src/webgpu/preprocessor.js'

const files: Record<string, string> = { 'a.wgsl': '#define A 7\nlet a = ${A};', 'b.wgsl': '#include "a.wgsl"\nlet b;' }
const read = (name: string) => {
  const text = files[name]
  if (text === undefined) throw new Error(`no file ${name}`)
  return text
}
const run = (source: string, constants: Record<string, number> = {}) => expand(source, constants, read)

test('loops unroll, nested, with a bound from a constant', (t) => {
  t.is(run('#define N 2\n#for i in 0..N\n#for j in i..2\nv${i}_${i * 2 + j}\n#end\n#end\nend'), 'v0_0\nv0_1\nv1_3\nend')
  t.is(run('#for i in 3..3\nnever\n#end'), '')
})

test("the host's constants win over defaults, and must exist", (t) => {
  t.is(run('#define N 2\n${N}', { N: 5 }), '5')
  t.throws(() => run('x', { M: 1 }), { instanceOf: SyntaxError, message: /'M' is not #defined/ })
})

test('conditions choose, and nest', (t) => {
  const source = '#define K 3\n#if K > 1 && !(K == 2)\n#if K % 2\nodd\n#else\neven\n#end\n#else\nsmall\n#end'
  t.is(run(source), 'odd')
  t.is(run(source, { K: 4 }), 'even')
  t.is(run(source, { K: 1 }), 'small')
})

test('a file is included once, and brings its constants', (t) => {
  t.is(run('#include "b.wgsl"\n#include "a.wgsl"\n${A + 1}'), 'let a = 7;\nlet b;\n8')
})

test('components', (t) => {
  t.is(run('v.${xyzw(1 + 2)}'), 'v.w')
  t.throws(() => run('v.${xyzw(4)}'), { message: /no such component/ })
})

for (const [source, message] of [
  ['#for i in 0..2\nx', /without #end/],
  ['#if 1\nx', /without #end/],
  ['#for i 0..2\n#end', /malformed/],
  ['#define N', /malformed/],
  ['#include <a>', /malformed/],
  ['#frob', /unknown directive/],
  ['${N}', /unknown constant 'N'/],
  ['${1 +}', /ends too early/],
  ['${(1}', /missing \)/],
  ['${1 2}', /unexpected '2'/],
  ['${1 ? 2}', /unexpected/],
] as const) {
  test(`refuses ${JSON.stringify(source)}`, (t) => {
    t.throws(() => run(source), { instanceOf: SyntaxError, message })
  })
}

type Expression = { text: string; value: number }
const { expression } = fc.letrec<{ expression: Expression; leaf: Expression; binary: Expression }>((tie) => ({
  leaf: fc.integer({ min: 0, max: 50 }).map((value) => ({ text: String(value), value })),
  binary: fc
    .tuple(tie('expression'), fc.constantFrom('+', '-', '*', '<', '>=', '=='), tie('expression'))
    .map(([a, op, b]) => {
      const values: Record<string, number> = {
        '+': a.value + b.value,
        '-': a.value - b.value,
        '*': a.value * b.value,
        '<': Number(a.value < b.value),
        '>=': Number(a.value >= b.value),
        '==': Number(a.value === b.value),
      }
      return { text: `(${a.text} ${op} ${b.text})`, value: values[op] ?? 0 }
    }),
  expression: fc.oneof({ maxDepth: 4 }, tie('leaf'), tie('binary')),
}))

test('expressions have the value that they would have in JavaScript', (t) => {
  fc.assert(fc.property(expression, ({ text, value }) => Number(run(`\${${text}}`)) === value))
  t.is(run('${1 + 2 * 3 - 7 / 2 % 2}'), '6')
  t.is(run('${-3 / 2}'), '-1')
})
