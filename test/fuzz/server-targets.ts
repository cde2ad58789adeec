/** What addresses and headers mean, without a server: many times as fast as requests. */
import { hostname } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import { isAllowedHost } from '../../src/server/guards.js'
import { type ImageAddress, type ImageRequest, parseImageRequest } from '../../src/server/iiif.js'
import { Refusal } from '../../src/server/refusal.js'
import type { Target } from './fuzz.js'

const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder('latin1').decode(bytes)

const FULL = [
  { width: 1, height: 1 },
  { width: 1023, height: 511 },
  { width: 2 ** 31, height: 90_001 },
] as const

/** The largest answers, as `describeImage` states them. */
const [MAX_SIDE, MAX_AREA] = [8192, 2 ** 23]

function addressOf(text: string): ImageAddress {
  const [region = '', size = '', rotation = '', file = ''] = text.split('/')
  return { region, size, rotation, file }
}

function parsed(number: number, text: string): ImageRequest | null {
  try {
    return parseImageRequest(FULL[number] as (typeof FULL)[number], addressOf(text))
  } catch (error) {
    if (error instanceof Refusal && error.statusCode === 400) return null
    throw error
  }
}

/** REGION/SIZE/ROTATION/QUALITY.FORMAT of IIIF. */
export const iiifTarget: Target = {
  codes: /^never$/,
  covers: ['src/server/iiif.ts'],
  most: 128,
  async seeds() {
    return [
      ...['full/max/0/default.jpg', 'square/^max/!90/color.png', '0,0,100,50/10,/22.5/gray.webp'],
      ...['pct:10,10.5,50,.5/pct:50/360/bitonal.jpg', '5,5,9,9/!100,100/0/default.jpg', 'full/^,3/!.5/default.png'],
      ...['0,0,4294967295,1/^8192,1024/0.0000001/default.jpg', 'full/,1/0/default.jpg', 'full/!0,0/0/default.jpg'],
    ].map(bytesOf)
  },
  parse(bytes) {
    const text = textOf(bytes)
    let taken = false
    for (const number of FULL.keys()) {
      const asked = parsed(number, text)
      if (!asked) continue
      taken = true
      const { region, size, rotation, canonical } = asked
      const full = FULL[number] as (typeof FULL)[number]
      const isWithin = region.x >= 0 && region.x + region.width <= full.width && region.width >= 1
      const isBelow = region.y >= 0 && region.y + region.height <= full.height && region.height >= 1
      if (!isWithin || !isBelow) throw new Error(`${text}: a region of ${JSON.stringify(region)}`)
      const isSmall = Math.max(size.width, size.height) <= MAX_SIDE && size.width * size.height <= MAX_AREA
      if (!isSmall || size.width < 1 || size.height < 1) throw new Error(`${text}: a size of ${JSON.stringify(size)}`)
      if (!(rotation >= 0 && rotation < 360)) throw new Error(`${text}: a rotation of ${rotation}`)
      const again = parsed(number, canonical)
      const quality = asked.quality === 'color' ? 'default' : asked.quality
      if (!isDeepStrictEqual(again, { ...asked, quality }))
        throw new Error(`${text}: ${canonical} means another picture`)
    }
    if (!taken) throw new Refusal(400, 'ERR_BAD_REQUEST', text)
  },
  isRefusal: (error) => error instanceof Refusal,
}

const OWN_NAME = hostname().toLowerCase()

/** Names in a Host header: by none but the machine's own and those that are allowed is it reached. */
export const hostsTarget: Target = {
  codes: /^never$/,
  covers: ['src/server/guards.ts'],
  most: 128,
  async seeds() {
    return [
      ...[
        'localhost',
        'localhost:8080',
        '127.0.0.1:1',
        '[::1]:80',
        'a.localhost',
        'evil.example',
        'localhost.evil.example',
      ],
      ...[
        'slides.example.org',
        'x.example.org.',
        'example.org',
        'evilexample.org',
        '127.0.0.1.evil.example',
        '[::1',
        '',
      ],
    ].map(bytesOf)
  },
  parse(bytes) {
    const text = textOf(bytes)
    // A browser sends a name that a URL can have.
    const name = text.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '')
    const isSafe = /^(\[[0-9a-f:.]+\]|\d+\.\d+\.\d+\.\d+|([\w.-]*\.)?localhost)$/.test(name)
    if (isAllowedHost(text, []) && !isSafe && name !== OWN_NAME) throw new Error(`${text} is answered`)
    const isBelow = isSafe || name.endsWith('.example.org') || name === OWN_NAME
    if (isAllowedHost(text, ['*.example.org']) && !isBelow) throw new Error(`${text} is answered`)
    if (isAllowedHost(text, []) && !isAllowedHost(text, ['*'])) throw new Error(`${text} isn't answered`)
  },
}
