/**
 * Compares files one after the other, in a process of its own, which a native decoder may crash. Each line on stdin is
 * `{ path, drawn, oracle }`; for each a line on stdout has its outcome.
 */
import { createInterface } from 'node:readline'
import { outcomeOf } from './outcome.js'

for await (const line of createInterface({ input: process.stdin })) {
  const { path, drawn, oracle } = JSON.parse(line)
  process.stdout.write(`${JSON.stringify(await outcomeOf(path, drawn, oracle))}\n`)
}
