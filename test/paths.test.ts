/**
 * Files that documents and comments name are there: whoever moves one finds out who speaks of it. And comments begin as
 * sentences do.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('..', import.meta.url))
const FOLDERS = [
  'bench',
  'docs',
  'farm',
  'models',
  'native',
  'python',
  'scripts',
  'shaders',
  'src',
  'test',
  'training',
  'viewer',
]
const TEXTS = /\.(ts|mjs|js|md|py|cc|h|c|wgsl|txt)$|(^|\/)[a-z-]+$/
const NOT_OURS = /(^|\/)(node_modules|dist|build|fixtures|__pycache__|\.[^/]*)(\/|$)/

/** The paths of files, and in documents of folders, that a text names. */
function pathsIn(text: string, isDocument: boolean): string[] {
  const file = new RegExp(`(?<![\\w/.@-])(?:${FOLDERS.join('|')})/[\\w./-]+\\.(?:ts|mjs|md|py|cc|h|c|wgsl)\\b`, 'g')
  const folder = new RegExp(`(?<=\`)(?:${FOLDERS.join('|')})/[\\w./-]*(?=\`)`, 'g')
  return [...(text.match(file) ?? []), ...(isDocument ? (text.match(folder) ?? []) : [])]
}

const inFolders = FOLDERS.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name))),
)
const texts = ['README.md', 'CMakeLists.txt', ...inFolders]
  .filter((name) => TEXTS.test(name) && !NOT_OURS.test(name))
  .map((name) => ({ name, text: readFileSync(join(root, name), { encoding: 'utf8' }) }))

test('files that are named in documents and comments exist', (t) => {
  const missing: string[] = []
  let count = 0
  for (const { name, text } of texts) {
    for (const path of pathsIn(text, name.endsWith('.md'))) {
      count++
      // In a package's own files a path may begin there, and in the addon's at native/.
      const [, room] = /^(bench|farm|native)\//.exec(name) ?? []
      const isThere = existsSync(join(root, path)) || (room !== undefined && existsSync(join(root, room, path)))
      if (!isThere) missing.push(`${name}: ${path}`)
    }
  }
  t.true(count > 100, `${count} paths are found`)
  t.deepEqual(missing, [])
})

test('no comment begins with "Of", which says what something belongs to and not what it is', (t) => {
  const comments = /^\s*(?:\/\/|\/?\*{1,2}|#) ([A-Z]\w*) .*/gm
  const found = texts
    .filter(({ name }) => !name.endsWith('.md'))
    .flatMap(({ name, text }) => Array.from(text.matchAll(comments), ([line, first]) => ({ name, line, first })))
  t.true(found.length > 1000, `${found.length} comments are found`)
  t.deepEqual(
    found.filter(({ first }) => first === 'Of').map(({ name, line }) => `${name}: ${line.trim()}`),
    [],
  )
})
