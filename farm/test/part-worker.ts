/** A worker process with the network of tests, for tests that kill it: REDIS QUEUE MODEL SEGMENT_TILES. */
import { tmpdir } from 'node:os'
import { openCodec } from 'cleric'
import { work } from '../src/worker.js'

const [redis = '', queue = '', model = '', segmentTiles] = process.argv.slice(2)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
const codec = await openCodec({ model, device: 'cpu' })
await work({
  ...{ redis, queue, concurrency: 1, leaseMs: 2_000, signal: stop.signal },
  codec: {
    model: codec.model,
    device: codec.device,
    tilesInFlight: codec.tilesInFlight,
    encodePayload: codec.encodePayload.bind(codec),
    decodePayload: codec.decodePayload.bind(codec),
    // So slow that a part takes some time, and a kill finds it under way.
    async encodeCheckedPayload(...parameters) {
      await new Promise((resolve) => setTimeout(resolve, 60))
      return codec.encodeCheckedPayload(...parameters)
    },
  },
  scratch: { folder: tmpdir(), bytes: 0 },
  segmentTiles: Number(segmentTiles),
  onEvent: () => {},
})
codec.close()
