/** A server of byte ranges of one file, for tests. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ExecutionContext } from 'ava'

export interface ServedFile {
  bytes: Buffer
  headers: Record<string, string>
  /** Whether the server knows If-Range. */
  conditional: boolean
}

/** Serves whatever `file` holds at the moment; `answer` may answer in its place. */
export async function serveRanges(
  t: ExecutionContext,
  file: ServedFile,
  answer: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
) {
  const asked: IncomingMessage['headers'][] = []
  const server = createServer((request, response) => {
    asked.push(request.headers)
    if (answer(request, response)) return
    const { bytes, headers, conditional } = file
    const condition = request.headers['if-range']
    const isMet = condition === undefined || condition === headers.etag || condition === headers['last-modified']
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const from = Number(first)
    const to = Math.min(Number(last), bytes.length - 1)
    if (conditional && !isMet) response.writeHead(200, headers).end(bytes)
    else if (from >= bytes.length) response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    else {
      const range = `bytes ${from}-${to}/${bytes.length}`
      response.writeHead(206, { ...headers, 'content-range': range }).end(bytes.subarray(from, to + 1))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.cleric.tif`, asked }
}
