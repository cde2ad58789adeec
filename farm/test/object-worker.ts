/** A worker process with a slow codec that loses nothing, for tests that kill it: REDIS QUEUE PART_BYTES DELAY_MS. */
import { tmpdir } from 'node:os'
import { losslessCodec } from '../../test/payload-codec.js'
import { work } from '../src/worker.js'

const [redis = '', queue = '', partBytes, delayMs] = process.argv.slice(2)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
await work({
  ...{ redis, queue, concurrency: 1, leaseMs: 2_000, signal: stop.signal },
  codec: losslessCodec(Number(delayMs)),
  scratch: { folder: tmpdir(), bytes: 0 },
  store: { partBytes: Number(partBytes), journalMs: 200 },
  onEvent: () => {},
})
