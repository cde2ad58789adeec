/** Two small HTTP servers: a worker's figures for Prometheus, and a page that shows how far a farm is. */
import { readFileSync } from 'node:fs'
import Fastify, { type FastifyInstance } from 'fastify'
import { FarmMetrics, type WorkerMetrics } from './metrics.js'
import { FarmQueues, type Place } from './queue.js'
import { statusOf } from './status.js'

export interface Listening {
  readonly port: number
  readonly host: string
}

/** Serves a worker's figures at `/metrics`. */
export async function serveMetrics(metrics: WorkerMetrics, { port, host }: Listening): Promise<FastifyInstance> {
  const server = Fastify()
  server.get('/metrics', async (_, reply) => {
    reply.header('content-type', metrics.registry.contentType)
    return metrics.registry.metrics()
  })
  await server.listen({ port, host })
  return server
}

/** Serves a page, what it shows as JSON at `/status`, and figures of the whole farm for Prometheus at `/metrics`. */
export async function serveStatus(place: Place, { port, host }: Listening): Promise<FastifyInstance> {
  const page = readFileSync(new URL('../status.html', import.meta.url))
  const status = async (failuresFrom = 0) => {
    await using queues = await FarmQueues.open(place)
    return await statusOf(queues, failuresFrom)
  }
  const metrics = new FarmMetrics()
  const server = Fastify()
  server.get('/', async (_, reply) => reply.type('text/html; charset=utf-8').send(page))
  server.get<{ Querystring: { failuresFrom: number } }>('/status', { schema: STATUS_QUERY }, (request, reply) => {
    reply.header('cache-control', 'no-store')
    return status(request.query.failuresFrom)
  })
  server.get('/metrics', async (_, reply) => {
    metrics.note(await status())
    reply.header('content-type', metrics.registry.contentType)
    return metrics.registry.metrics()
  })
  await server.listen({ port, host })
  return server
}

const STATUS_QUERY = {
  querystring: {
    type: 'object',
    properties: { failuresFrom: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 } },
  },
} as const
