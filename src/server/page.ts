/** The page's own files: compressed on their way, and sent again only if they have changed. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import compress from '@fastify/compress'
import files from '@fastify/static'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { missing } from './refusal.js'

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url))
/** The page, as `npm run build:viewer` made it. */
const PAGE = join(PACKAGE, 'dist/viewer')

/** Files from elsewhere, by the names that the page has for them. */
const OTHERS: Readonly<Record<string, readonly [folder: string, name: string]>> = {
  '/cleric-web.js': [join(PACKAGE, 'dist/web'), 'cleric-web.js'],
  '/cleric-web.js.map': [join(PACKAGE, 'dist/web'), 'cleric-web.js.map'],
}
/** Bytes from which compression pays. */
const LEAST_COMPRESSED = 1024

export async function servePage(server: FastifyInstance): Promise<void> {
  await server.register(compress, {
    encodings: ['br', 'gzip', 'identity'],
    threshold: LEAST_COMPRESSED,
    // Nothing is uploaded.
    globalDecompression: false,
  })
  // Every file of the folder has a route of its own: no address leads to any other.
  await server.register(files, {
    root: PAGE,
    wildcard: false,
    cacheControl: false,
    setHeaders: (reply) => {
      reply.setHeader('cache-control', 'no-cache')
    },
  })
  for (const [address, [folder, name]] of Object.entries(OTHERS)) {
    server.get(address, (_request, reply) => sendFile(reply, folder, name))
  }
}

function sendFile(reply: FastifyReply, folder: string, name: string): FastifyReply {
  // What is built from TypeScript may not be there in a clone.
  if (!existsSync(join(folder, name))) throw missing('There is nothing at this address')
  return reply.sendFile(name, folder)
}
