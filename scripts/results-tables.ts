/**
 * Puts what `cleric bench rd --output DIR` measured into the documents: the plots into docs/results, and each table between
 * the comments `<!-- bench rd: NAME -->` and `<!-- end -->` of README.md, docs/results.md and docs/bench.md.
 *
 *     node --import=./scripts/typescript/register.mjs scripts/results-tables.ts DIR
 */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RdReport } from '../bench/src/rate-distortion.js'
import { rdTables } from '../bench/src/tables.js'

const DOCUMENTS = ['README.md', 'docs/results.md', 'docs/bench.md']
const PLOTS = ['psnr.svg', 'ms-ssim.svg', 'levels.svg']
const PLACE = /(<!-- bench rd: (\S+) -->\n)[\s\S]*?(<!-- end -->)/g

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('Expected the folder that cleric bench rd --output wrote')
const report: RdReport = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8'))
for (const { label, reason } of report.missing) throw new Error(`${label} is missing: ${reason}`)
const tables = rdTables(report)
for (const document of DOCUMENTS) {
  const path = new URL(`../${document}`, import.meta.url)
  const text = readFileSync(path, 'utf8').replace(PLACE, (_, start: string, name: string, end: string) => {
    const table = tables.get(name)
    if (table === undefined)
      throw new Error(`${document} wants a table ${name}; there are ${[...tables.keys()].join(', ')}`)
    return `${start}\n${table}\n\n${end}`
  })
  writeFileSync(path, text)
}
for (const plot of PLOTS) copyFileSync(join(folder, plot), new URL(`../docs/results/${plot}`, import.meta.url))
