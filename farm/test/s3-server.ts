/**
 * A store that speaks S3 as Amazon's does, as far as the farm asks for it: signatures (checked by signing once more with
 * the SDK's own signer), checksums of bodies, ranges, conditions, listings by the page, multipart uploads with their
 * least size of parts. Errors have the codes and statuses of the API reference
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
 */
import { createHash, createHmac, type Hmac, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'
import { SignatureV4 } from '@smithy/signature-v4'

export const CREDENTIALS = { accessKeyId: 'tester', secretAccessKey: 'correct horse battery staple' } as const
export const REGION = 'eu-test-1'

interface StoredObject {
  readonly bytes: Buffer
  readonly tag: string
  readonly modified: Date
}

interface StoredUpload {
  readonly key: string
  readonly parts: Map<number, StoredObject>
}

/** An answer that is an error. */
class Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super(code)
  }
}

interface Asked {
  readonly method: string
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: Buffer | string
}

export class S3Server implements AsyncDisposable {
  /** By their keys, in the one bucket that there is. */
  readonly objects = new Map<string, StoredObject>()
  /** By their ids: those that are neither complete nor aborted. */
  readonly uploads = new Map<string, StoredUpload>()
  /** "GET key" and so on, of every request that was answered. */
  readonly requests: string[] = []
  /** Bytes that were sent. */
  sent = 0
  /** Called before each request is answered; what it returns is the status of an error. */
  fault: (method: string, key: string) => number | undefined = () => undefined
  readonly bucket: string
  readonly #leastPart: number
  readonly #page: number
  readonly #server: Server

  private constructor(bucket: string, leastPart: number, page: number) {
    this.bucket = bucket
    this.#leastPart = leastPart
    this.#page = page
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  /**
   * @param leastPart bytes of the smallest part but the last; S3 has 5 MiB
   * @param page most entries of a listing; S3 has 1000
   */
  static async start({ bucket = 'slides', leastPart = 5 * 2 ** 20, page = 1000 } = {}): Promise<S3Server> {
    const store = new S3Server(bucket, leastPart, page)
    await new Promise<void>((resolve) => store.#server.listen(0, '127.0.0.1', resolve))
    return store
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** For a client of it. */
  get environment(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL_S3: this.url,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    }
  }

  put(key: string, bytes: Uint8Array): void {
    this.objects.set(key, stored(Buffer.from(bytes)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const { pathname, searchParams: query } = new URL(request.url ?? '/', this.url)
      const [, bucket, ...rest] = decodeURIComponent(pathname).split('/')
      const asked = { method: request.method ?? '', key: rest.join('/'), query, headers: request.headers }
      const whole: Asked = { ...asked, body: Buffer.concat(chunks) }
      let answer: Answer
      try {
        const status = this.fault(asked.method, asked.key)
        if (status !== undefined) throw new Failure(status, status === 503 ? 'SlowDown' : 'InternalError')
        await mustBeSigned(whole, pathname, this.url)
        mustBeWhole(whole)
        if (bucket !== this.bucket) throw new Failure(404, 'NoSuchBucket')
        this.requests.push(`${asked.method} ${asked.key}`)
        answer = this.#answer(whole)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        const { status, code } = error
        const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`
        answer = { status, headers: { 'content-type': 'application/xml' }, body: asked.method === 'HEAD' ? '' : body }
      }
      const body = Buffer.from(answer.body ?? '')
      this.sent += body.length
      response.writeHead(answer.status ?? 200, { 'content-length': body.length, ...answer.headers })
      response.end(body)
    } catch {
      // The client is gone, as one is that was killed.
      response.destroy()
    }
  }

  #answer(asked: Asked): Answer {
    const { method, key, query } = asked
    if (key === '') {
      if (method === 'GET' && query.get('list-type') === '2') return this.#list(query)
      if (method === 'GET' && query.has('uploads')) return this.#listUploads(query)
    } else if (query.has('uploads') && method === 'POST') {
      const id = randomUUID()
      this.uploads.set(id, { key, parts: new Map() })
      return xml('InitiateMultipartUploadResult', `<Key>${escaped(key)}</Key><UploadId>${id}</UploadId>`)
    } else if (query.has('uploadId')) {
      return this.#ofUpload(asked)
    } else if (method === 'PUT') {
      this.#mustBeNew(asked)
      const object = stored(asked.body)
      this.objects.set(key, object)
      return { headers: { etag: object.tag } }
    } else if (method === 'DELETE') {
      const { 'if-match': wanted } = asked.headers
      const there = this.objects.get(key)
      if (wanted !== undefined && there && there.tag !== wanted) throw new Failure(412, 'PreconditionFailed')
      this.objects.delete(key)
      return { status: 204 }
    } else if (method === 'GET' || method === 'HEAD') {
      return this.#get(asked)
    }
    throw new Failure(501, 'NotImplemented')
  }

  #get({ method, key, headers }: Asked): Answer {
    const object = this.objects.get(key)
    if (!object) throw new Failure(404, 'NoSuchKey')
    const { bytes, tag, modified } = object
    const wanted = headers['if-match']
    if (wanted !== undefined && wanted !== tag) throw new Failure(412, 'PreconditionFailed')
    const facts = { etag: tag, 'last-modified': modified.toUTCString(), 'accept-ranges': 'bytes' }
    // Node.js leaves the body of the answer to HEAD out by itself.
    if (method === 'HEAD') return { headers: { ...facts, 'content-length': bytes.length } }
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
    if (from === undefined) return { headers: facts, body: bytes }
    const [first, last] = [Number(from), Math.min(Number(to), bytes.length - 1)]
    if (first > last) throw new Failure(416, 'InvalidRange')
    const range = `bytes ${first}-${last}/${bytes.length}`
    return { status: 206, headers: { ...facts, 'content-range': range }, body: bytes.subarray(first, last + 1) }
  }

  #mustBeNew({ key, headers }: Asked): void {
    if (headers['if-none-match'] === '*' && this.objects.has(key)) throw new Failure(412, 'PreconditionFailed')
  }

  #ofUpload(asked: Asked): Answer {
    const { method, key, query, body } = asked
    const id = query.get('uploadId') ?? ''
    const upload = this.uploads.get(id)
    if (upload?.key !== key) throw new Failure(404, 'NoSuchUpload')
    const { parts } = upload
    if (method === 'PUT') {
      const number = Number(query.get('partNumber'))
      if (!(number >= 1 && number <= 10_000)) throw new Failure(400, 'InvalidArgument')
      const part = stored(body)
      parts.set(number, part)
      return { headers: { etag: part.tag } }
    }
    if (method === 'DELETE') {
      this.uploads.delete(id)
      return { status: 204 }
    }
    if (method === 'GET') return this.#listParts(parts, query)
    if (method !== 'POST') throw new Failure(501, 'NotImplemented')
    this.#mustBeNew(asked)
    const chosen = [...body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => {
      const number = Number(/<PartNumber>(\d+)</.exec(part)?.[1])
      const tag = (/<ETag>(.*?)</.exec(part)?.[1] ?? '').replaceAll('&quot;', '"')
      const there = parts.get(number)
      if (!there || there.tag !== tag) throw new Failure(400, 'InvalidPart')
      return { number, bytes: there.bytes }
    })
    if (chosen.length === 0) throw new Failure(400, 'MalformedXML')
    if (chosen.some(({ number }, i) => number <= (chosen[i - 1]?.number ?? 0)))
      throw new Failure(400, 'InvalidPartOrder')
    if (chosen.slice(0, -1).some(({ bytes }) => bytes.length < this.#leastPart))
      throw new Failure(400, 'EntityTooSmall')
    const whole = Buffer.concat(chosen.map(({ bytes }) => bytes))
    const md5s = Buffer.concat(chosen.map(({ bytes }) => createHash('md5').update(bytes).digest()))
    const tag = `"${createHash('md5').update(md5s).digest('hex')}-${chosen.length}"`
    this.objects.set(key, { bytes: whole, tag, modified: new Date() })
    this.uploads.delete(id)
    return xml('CompleteMultipartUploadResult', `<Key>${escaped(key)}</Key><ETag>${escaped(tag)}</ETag>`)
  }

  #listParts(parts: StoredUpload['parts'], query: URLSearchParams): Answer {
    const after = Number(query.get('part-number-marker') ?? 0)
    const left = [...parts].filter(([number]) => number > after).sort(([a], [b]) => a - b)
    const shown = left.slice(0, this.#page)
    const each = shown.map(
      ([number, { bytes, tag }]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>${escaped(tag)}</ETag><Size>${bytes.length}</Size></Part>`,
    )
    const next = `<NextPartNumberMarker>${shown.at(-1)?.[0] ?? 0}</NextPartNumberMarker>`
    return xml('ListPartsResult', `${truncated(shown.length < left.length)}${next}${each.join('')}`)
  }

  #list(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? ''
    const after = Buffer.from(query.get('continuation-token') ?? '', 'base64').toString()
    const left = [...this.objects]
      .filter(([key]) => key.startsWith(prefix) && key > after)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const shown = left.slice(0, this.#page)
    const isMore = shown.length < left.length
    const token = `<NextContinuationToken>${Buffer.from(shown.at(-1)?.[0] ?? '').toString('base64')}</NextContinuationToken>`
    const each = shown.map(
      ([key, { bytes, tag }]) =>
        `<Contents><Key>${escaped(key)}</Key><Size>${bytes.length}</Size><ETag>${escaped(tag)}</ETag></Contents>`,
    )
    return xml('ListBucketResult', `${truncated(isMore)}${isMore ? token : ''}${each.join('')}`)
  }

  #listUploads(query: URLSearchParams): Answer {
    const prefix = query.get('prefix') ?? ''
    const each = [...this.uploads].filter(([, { key }]) => key.startsWith(prefix))
    const entries = each.map(([id, { key }]) => `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId></Upload>`)
    return xml('ListMultipartUploadsResult', `${truncated(false)}${entries.join('')}`)
  }
}

function truncated(is: boolean): string {
  return `<IsTruncated>${is}</IsTruncated>`
}

function xml(name: string, content: string): Answer {
  const body = `<?xml version="1.0"?><${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`
  return { headers: { 'content-type': 'application/xml' }, body }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function stored(bytes: Buffer): StoredObject {
  return { bytes, tag: `"${createHash('md5').update(bytes).digest('hex')}"`, modified: new Date() }
}

/** SHA-256, and HMAC where there is a key, as the signer wants it. */
class Sha256Hash {
  readonly #hash: Hmac | ReturnType<typeof createHash>

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string)
  }
  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(data as string)
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {}
}

/** @throws Failure SignatureDoesNotMatch */
async function mustBeSigned({ method, query, headers, body }: Asked, path: string, url: string): Promise<void> {
  const { authorization = '' } = headers
  const [, id, names = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=(\w+)\/\S+, SignedHeaders=(\S+), Signature=(\w+)$/.exec(authorization) ?? []
  if (id === undefined) throw new Failure(403, 'AccessDenied')
  if (id !== CREDENTIALS.accessKeyId) throw new Failure(403, 'InvalidAccessKeyId')
  const when = String(headers['x-amz-date']).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5')
  const signer = new SignatureV4({
    service: 's3',
    region: REGION,
    credentials: CREDENTIALS,
    sha256: Sha256Hash,
    uriEscapePath: false,
    applyChecksum: false,
  })
  const signed = Object.fromEntries(names.split(';').map((name) => [name, String(headers[name])]))
  const { hostname, port } = new URL(url)
  const request = {
    ...{ method, protocol: 'http:', hostname, port: Number(port), path, body },
    headers: signed,
    query: Object.fromEntries([...query].map(([name, value]) => [name, value])),
  }
  const again = await signer.sign(request, {
    signingDate: new Date(when),
    signableHeaders: new Set(Object.keys(signed)),
  })
  if (!again.headers.authorization?.endsWith(`Signature=${signature}`)) throw new Failure(403, 'SignatureDoesNotMatch')
}

/** @throws Failure if the body isn't what its headers promise */
function mustBeWhole({ headers, body }: Asked): void {
  const sha256 = headers['x-amz-content-sha256']
  if (sha256 !== createHash('sha256').update(body).digest('hex')) throw new Failure(400, 'XAmzContentSHA256Mismatch')
  const crc = headers['x-amz-checksum-crc32']
  const actual = Buffer.alloc(4)
  actual.writeUInt32BE(crc32(body))
  if (crc !== undefined && crc !== actual.toString('base64')) throw new Failure(400, 'BadDigest')
}
