/**
 * Expands a short `.wgsl` source into the fully unrolled WGSL that software
 * adapters run fast. Four directives, each on a line of its own:
 *
 *     #include "tensor.wgsl"        the file's text, once
 *     #define TX 8                  a constant; the host's value wins over this default
 *     #for i in 0..TX               the body up to #end, once for each i = 0 .. TX - 1
 *     #if K > 1   #else   #end
 *
 * and `${expression}` anywhere in a line: integers, constants, loop variables,
 * + - * / % ( ) comparisons && ||, and `xyzw(i)` for the i-th component's letter.
 */

type Scope = ReadonlyMap<string, number>

const TOKEN = /\s*(?:(\d+)|([A-Za-z_]\w*)|(<=|>=|==|!=|&&|\|\||[-+*/%()<>!]))/y

/** Binary operators by rising precedence. Division truncates. */
const LEVELS: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { '||': (a, b) => Number(a !== 0 || b !== 0) },
  { '&&': (a, b) => Number(a !== 0 && b !== 0) },
  { '==': (a, b) => Number(a === b), '!=': (a, b) => Number(a !== b) },
  {
    '<': (a, b) => Number(a < b),
    '>': (a, b) => Number(a > b),
    '<=': (a, b) => Number(a <= b),
    '>=': (a, b) => Number(a >= b),
  },
  { '+': (a, b) => a + b, '-': (a, b) => a - b },
  { '*': (a, b) => a * b, '/': (a, b) => Math.trunc(a / b), '%': (a, b) => a % b },
]

/** The tokens of each expression so far: an unrolled loop evaluates the same few thousands of times. */
const tokensOf = new Map<string, readonly string[]>()

function tokens(text: string): readonly string[] {
  const known = tokensOf.get(text)
  if (known) return known
  const found: string[] = []
  TOKEN.lastIndex = 0
  const trimmed = text.trimEnd()
  while (TOKEN.lastIndex < trimmed.length) {
    const at = TOKEN.lastIndex
    const match = TOKEN.exec(trimmed)
    if (!match) throw new SyntaxError(`unexpected '${trimmed.slice(at)}' in '${text}'`)
    found.push(match[1] ?? match[2] ?? match[3] ?? '')
  }
  tokensOf.set(text, found)
  return found
}

/** Value of an integer expression. */
function evaluate(text: string, scope: Scope): number {
  const list = tokens(text)
  let at = 0
  const binary = (level: number): number => {
    const operators = LEVELS[level]
    if (!operators) return unary()
    let left = binary(level + 1)
    for (let op = operators[list[at] ?? '']; op; op = operators[list[at] ?? '']) {
      at++
      left = op(left, binary(level + 1))
    }
    return left
  }
  const unary = (): number => {
    const token = list[at++]
    if (token === '-') return -unary()
    if (token === '!') return Number(unary() === 0)
    if (token === '(') {
      const value = binary(0)
      if (list[at++] !== ')') throw new SyntaxError(`missing ) in '${text}'`)
      return value
    }
    if (token === undefined) throw new SyntaxError(`'${text}' ends too early`)
    if (/^\d/.test(token)) return Number(token)
    const value = scope.get(token)
    if (value === undefined) throw new SyntaxError(`unknown constant '${token}' in '${text}'`)
    return value
  }
  const value = binary(0)
  if (at !== list.length) throw new SyntaxError(`unexpected '${list[at]}' in '${text}'`)
  return value
}

function substitute(line: string, scope: Scope): string {
  return line.replace(/\$\{([^}]*)\}/g, (_, expression: string) => {
    const component = /^\s*xyzw\((.*)\)\s*$/.exec(expression)
    if (!component) return String(evaluate(expression, scope))
    const letter = 'xyzw'[evaluate(component[1] ?? '', scope)]
    if (!letter) throw new SyntaxError(`no such component: '${expression}'`)
    return letter
  })
}

/** Index of the line that closes the block opened before `start`: `#end`, or `#else` where allowed. */
function blockEnd(lines: readonly string[], start: number, allowElse: boolean): number {
  let depth = 0
  for (let i = start; i < lines.length; i++) {
    const word = /^\s*#(\w+)/.exec(lines[i] ?? '')?.[1]
    if (word === 'for' || word === 'if') depth++
    else if (word === 'else' && depth === 0 && allowElse) return i
    else if (word === 'end' && depth-- === 0) return i
  }
  throw new SyntaxError('#for or #if without #end')
}

/**
 * Expands `source`.
 *
 * @param source text with directives
 * @param constants values that replace the source's own #define defaults; each must be #defined
 * @param read text of an included file by its name
 * @throws SyntaxError with the line for a malformed directive or an unknown constant
 * @example
 * expand('#define N 2\n#for i in 0..N\nlet a${i} = ${i * 4};\n#end', { N: 3 }, read)
 */
export function expand(
  source: string,
  constants: Readonly<Record<string, number>>,
  read: (name: string) => string,
): string {
  const out: string[] = []
  const included = new Set<string>()
  const defined = new Map<string, number>()

  const walk = (lines: readonly string[], scope: Map<string, number>): void => {
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i] ?? ''
      const directive = /^\s*#(\w+)\s*(.*?)\s*(?:\/\/.*)?$/.exec(line)
      if (!directive) {
        out.push(line.includes('${') ? substitute(line, scope) : line)
        continue
      }
      const [, word, rest = ''] = directive
      if (word === 'include') {
        const name = /^"([\w.-]+)"$/.exec(rest)?.[1]
        if (!name) throw new SyntaxError(`malformed '${line.trim()}'`)
        if (included.has(name)) continue
        included.add(name)
        walk(read(name).split('\n'), scope)
      } else if (word === 'define') {
        const match = /^(\w+)\s+(.+)$/.exec(rest)
        if (!match?.[1] || !match[2]) throw new SyntaxError(`malformed '${line.trim()}'`)
        const value = constants[match[1]] ?? evaluate(match[2], scope)
        scope.set(match[1], value)
        defined.set(match[1], value)
      } else if (word === 'for') {
        const match = /^(\w+)\s+in\s+(.+?)\.\.(.+)$/.exec(rest)
        if (!match?.[1] || !match[2] || !match[3]) throw new SyntaxError(`malformed '${line.trim()}'`)
        const end = blockEnd(lines, i + 1, false)
        const body = lines.slice(i + 1, end)
        const inner = new Map(scope)
        const last = evaluate(match[3], scope)
        for (let value = evaluate(match[2], scope); value < last; value++) walk(body, inner.set(match[1], value))
        i = end
      } else if (word === 'if') {
        let end = blockEnd(lines, i + 1, true)
        const holds = evaluate(rest, scope) !== 0
        if (holds) walk(lines.slice(i + 1, end), scope)
        if (/^\s*#else/.test(lines[end] ?? '')) {
          const start = end + 1
          end = blockEnd(lines, start, false)
          if (!holds) walk(lines.slice(start, end), scope)
        }
        i = end
      } else {
        throw new SyntaxError(`unknown directive '${line.trim()}'`)
      }
    }
  }

  walk(source.split('\n'), new Map())
  for (const name of Object.keys(constants)) {
    if (!defined.has(name)) throw new SyntaxError(`constant '${name}' is not #defined by the source`)
  }
  return out.join('\n')
}
