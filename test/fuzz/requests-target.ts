import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { compressSlide } from '../../src/compress/compress.js'
import { createViewerServer } from '../../src/server/server.js'
import { losslessCodec } from '../payload-codec.js'
import type { Target } from './fuzz.js'

const TOKEN = 'sesame'

/** One that answers everybody, and one that is guarded. */
let servers: readonly FastifyInstance[] = []

async function open(): Promise<readonly FastifyInstance[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-fuzz-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const codec = losslessCodec()
  await compressSlide('synthetic:600x300', join(folder, 'a b.cleric.tif'), { codec, tile: 256 })
  const guarded = { token: TOKEN, cors: ['https://viewer.example.org'], allowHosts: ['*.example.org'] }
  return [await createViewerServer(folder, { codec }), await createViewerServer(folder, { codec, ...guarded })]
}

const NAME = 'a%20b.cleric.tif'
const ADDRESSES = [
  ...['/', '/slides', `/slide?name=${NAME}`, '/viewer.js', '/openseadragon.js?v=1', '/no-such-page'],
  ...[`/deepzoom/${NAME}.dzi`, `/deepzoom/${NAME}_files/8/0_0.jpeg?icc=srgb&v=1`, `/deepzoom/${NAME}_files/0/0_0.png`],
  ...['/deepzoom/..%2f..%2fetc/passwd.dzi', '/deepzoom/%2e%2e/x.dzi', `/deepzoom/${NAME}_files/99/9999999_0.png`],
  ...[`/checks/${NAME}?level=0&column=0&row=0&columns=2&rows=1`, `/checks/${NAME}`, `/bad-tiles/${NAME}`],
  ...[`/iiif/3/${NAME}`, `/iiif/3/${NAME}/info.json`, `/iiif/3/${NAME}/full/max/0/default.jpg`],
  ...[`/iiif/3/${NAME}/0,0,256,256/128,/0/gray.png`, `/iiif/3/${NAME}/pct:0,0,50,50/!90,90/!90/bitonal.webp`],
  ...[`/thumbnail/${NAME}?size=64`, `/associated/${NAME}?image=label`, `/files/${NAME}`, '/models/x.safetensors'],
]
const HEADERS = [
  'host: 127.0.0.1:8080\nrange: bytes=0-99',
  'host: slides.example.org\nauthorization: Bearer sesame\nrange: bytes=-5',
  'host: evil.example\ncookie: cleric_token=sesame',
  'host: localhost\nif-none-match: *\naccept: application/ld+json',
  'host: [::1]\nif-range: "x"\nrange: bytes=5-2,9-',
  'origin: https://viewer.example.org\nx-forwarded-host: a"b\nx-forwarded-proto: javascript\nx-forwarded-for: ,',
]

/** Requests as `METHOD ADDRESS`, then headers line by line; to the guarded server if the method is in small letters. */
export const requestsTarget: Target = {
  codes: /^never$/,
  covers: ['answers', 'deep-zoom', 'file-routes', 'guards', 'iiif-routes', 'iiif', 'server', 'slide-routes'].map(
    (name) => `src/server/${name}.ts`,
  ),
  most: 512,
  async seeds() {
    if (servers.length === 0) servers = await open()
    return ADDRESSES.flatMap((address, i) => {
      const headers = HEADERS[i % HEADERS.length]
      return [`GET ${address}\n${headers}`, `get ${address}?token=${TOKEN}`, `HEAD ${address}\n${headers}`]
    }).map((text) => new TextEncoder().encode(text))
  },
  async parse(bytes) {
    const [first = '', ...lines] = new TextDecoder('latin1').decode(bytes).split('\n')
    const [method = '', ...rest] = first.split(' ')
    const address = `/${rest.join(' ').replace(/^\/+/, '')}`.replace(/[\r\n]/g, '')
    const headers: Record<string, string> = {}
    for (const line of lines) {
      const colon = line.indexOf(':')
      const [name, value] = [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      // Others don't come through Node's parser.
      if (/^[a-z-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)) headers[name] = value
    }
    const isGuarded = method !== method.toUpperCase()
    const server = servers[isGuarded ? 1 : 0] as FastifyInstance
    const asked = { method: /^head$/i.test(method) ? 'HEAD' : 'GET', url: address, headers } as const
    const answer = await server.inject(asked)
    if (answer.statusCode >= 500) throw new Error(`${first}: ${answer.statusCode} ${answer.body}`)
    if (answer.body.includes('root:')) throw new Error(`${first}: a file of the system`)
    const text = JSON.stringify(headers)
    const hasToken = address.includes(TOKEN) || text.includes(TOKEN)
    if (isGuarded && !hasToken && answer.statusCode < 400) throw new Error(`${first}: answered without a token`)
    const { 'content-range': range = '', 'content-length': length } = answer.headers
    const [, start, end] = /^bytes (\d+)-(\d+)\//.exec(String(range)) ?? []
    if (start !== undefined && Number(end) - Number(start) + 1 !== Number(length)) {
      throw new Error(`${first}: ${length} bytes of range ${range}`)
    }
  },
}
