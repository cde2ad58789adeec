/**
 * Compresses with too little memory, at random points: what is left must be an archive that is right, or nothing under
 * its name, from which a run goes on to the right one. Ends with status 1 if it isn't.
 *
 *     npm run test:faults -- --points 50 --seed 1
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { undisturbed, withMemory } from '../test/faults/memory.js'
import { seededRandom } from '../test/seeded-random.js'

const { values } = parseArgs({
  options: {
    points: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    /** Kilobytes of address space: below the first Node.js doesn't start, with the last there is enough. */
    least: { type: 'string', default: '700000' },
    most: { type: 'string', default: '2000000' },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'cleric-faults-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const random = seededRandom(Number(values.seed))
const output = join(folder, 'a.cleric.tif')
const expected = await undisturbed(output)
const [least, most] = [Number(values.least), Number(values.most)]
let [faults, failed] = [0, 0]
for (let point = 1; point <= Number(values.points); point++) {
  const kilobytes = Math.round(least + random() * (most - least))
  const { ended, fault } = await withMemory(output, kilobytes, expected)
  if (fault !== null) faults++
  if (ended.status !== 0) failed++
  const how = ended.signal ?? `status ${ended.status}`
  console.log(`${point}: ${kilobytes} KB, ${how}: ${fault ?? 'as it should be'}`)
}
console.log(`${values.points} points, ${failed} runs that failed, ${faults} faults, seed ${values.seed}`)
process.exitCode = faults === 0 ? 0 : 1
