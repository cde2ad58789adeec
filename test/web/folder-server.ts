/** A plain server of a folder's files and ranges of them, as any web server or object store is, for tests. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import type { ExecutionContext } from 'ava'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.jpeg': 'image/jpeg',
}

export interface AskedRange {
  readonly path: string
  readonly first: number
  readonly last: number
}

/** @returns its address, and the ranges that were asked of it, in order */
export async function serveFolder(t: ExecutionContext, folder: string) {
  const ranges: AskedRange[] = []
  const whole: string[] = []
  const send = async (address: string, range: string | undefined, response: ServerResponse) => {
    const path = decodeURIComponent(new URL(address, 'http://localhost').pathname)
    const file = join(folder, normalize(path === '/' ? '/index.html' : path))
    const { size, mtimeMs } = await stat(file)
    const type = TYPES[extname(file)] ?? 'application/octet-stream'
    const headers = { 'content-type': type, 'accept-ranges': 'bytes', etag: `"${size}-${mtimeMs}"` }
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
    if (from === undefined) {
      whole.push(path)
      response.writeHead(200, { ...headers, 'content-length': size })
      return createReadStream(file).pipe(response)
    }
    const [first, last] = [Number(from), Math.min(Number(to), size - 1)]
    ranges.push({ path, first, last })
    response.writeHead(206, { ...headers, 'content-range': `bytes ${first}-${last}/${size}` })
    return createReadStream(file, { start: first, end: last }).pipe(response)
  }
  const server = createServer(({ url = '/', headers }, response) => {
    send(url, headers.range, response).catch(() => response.writeHead(404).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ranges, whole }
}
