/** Two small HTTP servers: a worker's figures for Prometheus, and a page that shows how far a farm is. */
import { readFileSync } from 'node:fs'
import Fastify, { type FastifyInstance } from 'fastify'
import type { WorkerMetrics } from './metrics.js'
import { FarmQueues, type Place } from './queue.js'
import { statusOf } from './status.js'

export interface Listening {
  readonly port: number
  readonly host: string
}

/** Serves `/metrics`. Returns the address. */
export async function serveMetrics(metrics: WorkerMetrics, { port, host }: Listening): Promise<FastifyInstance> {
  const server = Fastify()
  server.get('/metrics', async (_, reply) => {
    reply.header('content-type', metrics.registry.contentType)
    return metrics.registry.metrics()
  })
  await server.listen({ port, host })
  return server
}

/** Serves a page, and what it shows as JSON at `/status`. */
export async function serveStatus(place: Place, { port, host }: Listening): Promise<FastifyInstance> {
  const page = readFileSync(new URL('../status.html', import.meta.url))
  const server = Fastify()
  server.get('/', async (_, reply) => reply.type('text/html; charset=utf-8').send(page))
  server.get('/status', async (_, reply) => {
    await using queues = await FarmQueues.open(place)
    reply.header('cache-control', 'no-store')
    return await statusOf(queues)
  })
  await server.listen({ port, host })
  return server
}
