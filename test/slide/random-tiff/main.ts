/**
 * Compares many drawn TIFFs: `npm run test:tiffs -- [COUNT] [FIRST_SEED]`. Prints each that is wrong as a line of JSON,
 * and at the end a table of all outcomes. PYTHON may name one with tifffile and imagecodecs.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compareDrawn } from './run.js'

const [count = 2000, first = 1] = process.argv.slice(2).map(Number)
const folder = mkdtempSync(join(tmpdir(), 'cleric-tiffs-'))
const seeds = Array.from({ length: count }, (_, i) => first + i)
const table = new Map<string, number>()
let isRight = true
try {
  for await (const { drawn, outcome } of compareDrawn(seeds, folder, process.env.PYTHON ?? '/usr/bin/python3')) {
    const isWrong = outcome.kind !== 'equal' && outcome.kind !== 'refused' && outcome.kind !== 'unknown'
    if (isWrong) {
      isRight = false
      console.log(JSON.stringify({ ...drawn, ...outcome }))
    }
    // Numbers of a file aren't reasons.
    const reason = isWrong ? '' : outcome.detail.replace(/\d+/g, 'N').slice(0, 160)
    const row = `${outcome.kind}${reason === '' ? '' : `: ${reason}`}`
    table.set(row, (table.get(row) ?? 0) + 1)
  }
} finally {
  rmSync(folder, { recursive: true })
}
for (const [row, number] of [...table].sort((a, b) => b[1] - a[1])) console.log(String(number).padStart(6), row)
process.exitCode = isRight ? 0 : 1
