/**
 * Gives one parser, or all, changed inputs for so many seconds each:
 *
 *     npm run fuzz -- archive 600
 *     npm run fuzz -- all 10 --seed 7
 *
 * Prints how many there were. The first that crashes, hangs, takes too much memory or fails without a code ends the run
 * with status 1, and is printed. Those of the addon's C++ are run by scripts/fuzz-native.
 */
import { parseArgs } from 'node:util'
import { Finding, fuzz } from './fuzz.js'
import { TARGETS } from './targets.js'

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string', default: String(Date.now() % 2 ** 31) } },
  allowPositionals: true,
})
const [name = 'all', seconds = '10'] = positionals
const chosen = Object.entries(TARGETS).filter(([each]) => name === 'all' || each === name)
if (chosen.length === 0 || !(Number(seconds) > 0)) {
  console.error(`usage: npm run fuzz -- <${[...Object.keys(TARGETS), 'all'].join('|')}> <seconds> [--seed <number>]`)
  process.exit(2)
}
let total = 0
for (const [each, target] of chosen) {
  const end = performance.now() + 1000 * Number(seconds)
  try {
    const found = await fuzz(target, Number(values.seed), () => performance.now() > end)
    total += found.executions
    const perSecond = Math.round(found.executions / found.seconds)
    const rest = `${perSecond} a second, ${found.sound} taken, slowest ${found.slowestMs.toFixed(1)} ms`
    console.log(`${each}: ${found.executions} executions, ${rest}, seed ${values.seed}`)
  } catch (error) {
    if (!(error instanceof Finding)) throw error
    console.log(`${each}: FOUND with seed ${values.seed}: ${error.stack}`)
    if (error.cause) console.log(error.cause)
    process.exitCode = 1
  }
}
console.log(`${total} executions in all`)
process.exit()
