/**
 * What a slide costs Redis: commands, bytes and processor time, from its INFO before and after a farm of one worker that
 * does so many small slides. They say nothing of a slide's pixels, as Redis sees none of them.
 *
 *     node --import=./scripts/typescript/register.mjs scripts/farm-load.ts [SLIDES]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FarmQueues } from '../farm/src/queue.js'
import { statusOf } from '../farm/src/status.js'
import { submit } from '../farm/src/submit.js'
import { work } from '../farm/src/worker.js'
import { TestRedis } from '../farm/test/redis.js'
import { losslessCodec } from '../test/payload-codec.js'

const slides = Number(process.argv[2] ?? 200)
const folder = mkdtempSync(join(tmpdir(), 'cleric-load-'))
await using redis = await TestRedis.start(folder)
const place = { redis: redis.url, queue: 'load' }

/** What Redis counts. */
async function counted() {
  await using queues = await FarmQueues.open(place)
  const info = await queues.client.info()
  const of = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? Number.NaN)
  return {
    commands: of('total_commands_processed'),
    received: of('total_net_input_bytes'),
    sent: of('total_net_output_bytes'),
    seconds: of('used_cpu_sys') + of('used_cpu_user'),
    memory: of('used_memory'),
  }
}

const before = await counted()
const inputs = Array.from({ length: slides }, (_, i) => `synthetic:64x64:${i}`)
await submit(inputs, { ...place, to: join(folder, 'to'), options: { tile: 64 } })
const stop = new AbortController()
let done = 0
await work({
  ...{ ...place, concurrency: 2, leaseMs: 30_000, signal: stop.signal, codec: losslessCodec() },
  scratch: { folder, bytes: 0 },
  onEvent: (event) => {
    if (event.kind === 'done' && ++done === slides) stop.abort()
  },
})
const after = await counted()
const each = (name: keyof typeof after) => (after[name] - before[name]) / slides
console.log(
  `${slides} slides, each: ${each('commands').toFixed(1)} commands, ${each('received').toFixed(0)} bytes received,`,
)
console.log(
  `${each('sent').toFixed(0)} bytes sent, ${(1e3 * each('seconds')).toFixed(2)} ms of its processor time, ${each('memory').toFixed(0)} bytes kept`,
)
const asked = await counted()
{
  await using queues = await FarmQueues.open(place)
  await statusOf(queues)
}
const told = await counted()
console.log(
  `a status: ${told.commands - asked.commands} commands, ${told.sent - asked.sent} bytes (with what this look takes)`,
)
rmSync(folder, { recursive: true })
