/**
 * Puts what runs of `cleric bench rd --output DIR` measured into the documents: the plots into docs/results, and each table
 * between the comments `<!-- bench rd: NAME -->` and `<!-- end -->` of README.md, docs/results.md and docs/bench.md. Runs are
 * taken together; where two have the same point, the first one's counts, so a run of new weights stands before those of the peers.
 *
 *     node --import=./scripts/typescript/register.mjs scripts/results-tables.ts DIR...
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { joinReports } from '../bench/src/join-reports.js'
import { BENCH_CODECS } from '../bench/src/open-codecs.js'
import { plotCurves, plotLevels } from '../bench/src/plots.js'
import { rdTables } from '../bench/src/tables.js'

const DOCUMENTS = ['README.md', 'docs/results.md', 'docs/bench.md']
const PLACE = /(<!-- bench rd: (\S+) -->\n)[\s\S]*?(<!-- end -->)/g
const root = new URL('../', import.meta.url)

const folders = process.argv.slice(2)
const ids = BENCH_CODECS.map(({ id }) => id)
const report = joinReports(
  folders.map((folder) => JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8'))),
  ids,
)
const absent = ids.filter((id) => !report.codecs.some((codec) => codec.id === id))
if (absent.length > 0) throw new Error(`Expected a run of every codec; there is none of ${absent.join(', ')}`)

const tables = rdTables(report)
for (const document of DOCUMENTS) {
  const text = readFileSync(new URL(document, root), 'utf8').replace(PLACE, (_, start: string, name: string, end) => {
    const table = tables.get(name)
    if (table === undefined) throw new Error(`${document} wants ${name}; there are ${[...tables.keys()].join(', ')}`)
    return `${start}\n${table}\n\n${end}`
  })
  writeFileSync(new URL(document, root), text)
}
const plots = {
  'psnr.svg': await plotCurves(report.curves, report.codecs, 'psnr', 0),
  'ms-ssim.svg': await plotCurves(report.curves, report.codecs, 'msSsim', 0),
  'levels.svg': await plotLevels(report.curves, report.codecs),
}
for (const [name, svg] of Object.entries(plots))
  if (svg !== null) writeFileSync(new URL(`docs/results/${name}`, root), svg)

// What prose says beside the tables.
const differences = report.bdRates.flatMap(({ codec, anchor, level, metric, percent }) => {
  const same = report.bdRates.filter(
    (e) => e.codec === codec && e.anchor === anchor && e.level === level && e.metric === metric,
  )
  return same.map((other) => Math.abs((other.percent ?? 0) - (percent ?? 0)))
})
console.log(`Akima's method differs from PCHIP by at most ${Math.max(...differences).toFixed(2)}`)
