/** The page's own files: compressed on their way, and sent again only if they have changed. */
import { fileURLToPath } from 'node:url'
import compress from '@fastify/compress'
import files from '@fastify/static'
import type { FastifyInstance } from 'fastify'

/** The page, as `npm run build:viewer` made it. */
const PAGE = fileURLToPath(new URL('../../dist/viewer', import.meta.url))
/** Names that the bundler makes of what is in the file: under the same name it never changes. */
const HASHED = /-[0-9A-Z]{8}\.(js|css)$/
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
    setHeaders: (reply, path) => {
      reply.setHeader('cache-control', HASHED.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
}
