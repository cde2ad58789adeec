import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { compressSlide } from '../../src/compress/compress.js'
import { createViewerServer } from '../../src/server/server.js'
import { losslessCodec } from '../payload-codec.js'
import type { Target } from './fuzz.js'

let server: FastifyInstance | null = null

async function open(): Promise<FastifyInstance> {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-fuzz-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const codec = losslessCodec()
  await compressSlide('synthetic:600x300', join(folder, 'a b.cleric.tif'), { codec, tile: 256 })
  return createViewerServer(folder, { codec })
}

const SEEDS = [
  ...['/', '/slides', '/slide?name=a%20b.cleric.tif', '/viewer.js', '/openseadragon.js?v=1'],
  ...['/deepzoom/a%20b.cleric.tif.dzi', '/deepzoom/a%20b.cleric.tif_files/8/0_0.jpeg?icc=srgb&v=1'],
  ...['/deepzoom/a%20b.cleric.tif_files/0/0_0.png', '/deepzoom/..%2f..%2fetc/passwd.dzi', '/deepzoom/%2e%2e/x.dzi'],
  ...['/checks/a%20b.cleric.tif?level=0&column=0&row=0&columns=2&rows=1', '/checks/a%20b.cleric.tif'],
  ...['/iiif/a%20b.cleric.tif/info.json', '/iiif/a%20b.cleric.tif/full/max/0/default.jpg'],
  ...[
    '/iiif/a%20b.cleric.tif/0,0,256,256/128,/0/default.png',
    '/iiif/a%20b.cleric.tif/pct:0,0,50,50/!90,90/90/gray.jpg',
  ],
]

/** Addresses of DeepZoom and IIIF, of the lists and of the page. */
export const urlsTarget: Target = {
  codes: /^never$/,
  covers: ['src/server/server.ts'],
  most: 512,
  async seeds() {
    server ??= await open()
    return SEEDS.map((address) => new TextEncoder().encode(address))
  },
  async parse(bytes) {
    const address = `/${new TextDecoder('latin1').decode(bytes).replace(/^\/+/, '')}`
    const answer = await (server as FastifyInstance).inject({ method: 'GET', url: address.replace(/[\r\n]/g, '') })
    if (answer.statusCode >= 500) throw new Error(`${address}: ${answer.statusCode} ${answer.body}`)
    if (answer.body.includes('root:')) throw new Error(`${address}: a file of the system`)
  },
}
