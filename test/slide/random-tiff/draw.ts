/** Draws a TIFF from a seed: any of what TIFF 6 and its usual extensions allow, also what few programs write. */
import { displayP3 } from '../display-p3.js'
import { ascii, type Field, type Page, TiffFile } from './file.js'
import {
  COMPRESSION,
  type Compression,
  coloursOf,
  encodeChunks,
  type PageOptions,
  PHOTOMETRIC,
  type Photometric,
} from './page.js'
import { drawSamples, half, type Samples } from './picture.js'
import { drawQuirks, type Quirks, quirky } from './quirks.js'
import { Chance } from './random.js'

/** How several images are in one file. */
export type Arrangement = 'one' | 'pages' | 'pyramid' | 'subifds' | 'thumbnail first' | 'other size'

/** What is wrong with one strip or tile of the first image, and where that is in the image as it is stored. */
export interface Damage {
  /** `cut`: half of its bytes are missing; `flipped`: some are others, which its checksum tells; `absent`: it isn't stored. */
  readonly kind: 'cut' | 'flipped' | 'absent'
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

export interface DrawnTiff {
  readonly seed: number
  readonly bytes: Uint8Array
  /** The same file without its damage, which other readers get. */
  readonly sound: Uint8Array
  /** What was drawn, for messages. */
  readonly about: {
    readonly littleEndian: boolean
    readonly isBig: boolean
    readonly arrangement: Arrangement
    readonly page: PageOptions
    readonly hasProfile: boolean
    readonly quirks: Quirks | null
    readonly damage: Damage | null
  }
}

const WORDS = { unsigned: 1, signed: 2, float: 3 } as const

/** The file of a seed; always the same one. */
export async function drawTiff(seed: number): Promise<DrawnTiff> {
  const chance = new Chance(seed)
  const littleEndian = chance.is(0.6)
  const isBig = chance.is(0.3)
  const page = drawOptions(chance)
  const arrangement: Arrangement = chance.is(0.7)
    ? 'one'
    : chance.pick(['pages', 'pyramid', 'subifds', 'thumbnail first', 'other size'] as const)
  const channels = coloursOf(page.photometric) + page.extras.length
  const scale = page.format === 'float' ? 1 : 2 ** (page.format === 'signed' ? page.bits - 1 : page.bits) - 1
  const draw = (width: number, height: number) => associated(page, drawSamples(chance, width, height, channels, scale))
  const map = page.photometric === 'palette' ? drawMap(chance, page.bits) : null

  const make = async (samples: Samples, subfile: number | null, children: readonly Page[] = []): Promise<Page> => {
    const options = { ...page, width: samples.width, height: samples.height }
    const chunks = await encodeChunks(options, samples, littleEndian)
    return { fields: fieldsOf(options, subfile, map), chunks, isTiled: page.tile !== null, children }
  }
  const full = draw(page.width, page.height)
  const levels = [half(full), half(half(full))]
  const pages = await (async (): Promise<Page[]> => {
    switch (arrangement) {
      case 'one':
        return [await make(full, chance.pick([0, null]))]
      case 'pages':
        return [await make(full, null), await make(draw(page.width, page.height), chance.pick([0, 2, null]))]
      case 'other size':
        return [await make(full, null), await make(draw(page.width + 7, Math.ceil(page.height / 3)), null)]
      case 'thumbnail first':
        return [await make(levels[1] as Samples, chance.pick([1, null])), await make(full, chance.pick([0, null]))]
      case 'pyramid': {
        const reduced = chance.pick([1, null])
        return [await make(full, null), ...(await Promise.all(levels.map((level) => make(level, reduced))))]
      }
      case 'subifds':
        return [await make(full, null, await Promise.all(levels.map((level) => make(level, 1))))]
    }
  })()
  // By chances of their own, so that a seed's picture doesn't depend on them.
  const extra = new Chance(seed ^ 0x5eed)
  const hasProfile = page.photometric === 'rgb' && extra.is(0.2)
  const quirks = extra.is(0.5) ? drawQuirks(extra) : null
  const profiled = hasProfile ? pages.map((each) => ({ ...each, fields: [...each.fields, profileField()] })) : pages
  const described = quirks ? profiled.map((each) => quirky(each, quirks)) : profiled
  const sound = new TiffFile(littleEndian, isBig).encode(described)
  const [damaged, damage] =
    arrangement === 'one' && extra.is(0.2) ? damagedPage(extra, page, described) : [described, null]
  const bytes = damage ? new TiffFile(littleEndian, isBig).encode(damaged) : sound
  return { seed, bytes, sound, about: { littleEndian, isBig, arrangement, page, hasProfile, quirks, damage } }
}

function profileField(): Field {
  return { tag: 34675, type: 'UNDEFINED', values: [...displayP3()] }
}

/** The page with one of its strips or tiles damaged so that the damage shows. */
function damagedPage(chance: Chance, options: PageOptions, [page]: readonly Page[]): [Page[], Damage | null] {
  const { chunks, ...others } = page as Page
  const { tile, width, height, planar, compression, orientation } = options
  const at = chance.integer(0, chunks.length - 1)
  const hasChecksum = compression === 'deflate' || compression === 'oldDeflate'
  const isSimple = planar === 1 && orientation <= 1
  const kind = chance.pick<Damage['kind']>([
    'cut',
    ...(hasChecksum ? (['flipped'] as const) : []),
    ...(isSimple ? (['absent'] as const) : []),
  ])
  const whole = chunks[at] as Uint8Array
  if (whole.length < 40) return [[page as Page], null]
  const changed =
    kind === 'cut' ? whole.slice(0, whole.length >> 1) : kind === 'absent' ? new Uint8Array(0) : whole.slice()
  if (kind === 'flipped') {
    for (let i = 0; i < 5; i++) changed[chance.integer(8, changed.length - 5)] = chance.integer(0, 255)
  }
  const size = tile ?? { width, height: Math.min(height, options.rowsPerStrip) }
  const columns = Math.ceil(width / size.width)
  const place = { left: (at % columns) * size.width, top: Math.floor(at / columns) * size.height }
  return [[{ ...others, chunks: chunks.with(at, changed) }], { kind, ...place, ...size }]
}

function drawOptions(chance: Chance): PageOptions {
  const photometric = chance.pick<Photometric>(['white', 'black', 'rgb', 'rgb', 'rgb', 'palette', 'ycbcr', 'cmyk'])
  const isGrey = photometric === 'white' || photometric === 'black'
  const bits = isGrey
    ? chance.pick([1, 1, 2, 4, 8, 8, 8, 16, 32])
    : photometric === 'palette'
      ? chance.pick([1, 2, 4, 8])
      : photometric === 'ycbcr'
        ? 8
        : chance.pick([8, 8, 8, 8, 16, 32])
  const format =
    bits === 32
      ? chance.pick(['float', 'unsigned'] as const)
      : bits >= 8 && isGrey && chance.is(0.1)
        ? 'signed'
        : 'unsigned'
  const canBeJpeg = bits === 8 && format === 'unsigned' && photometric !== 'palette' && photometric !== 'white'
  const compression = chance.pick<Compression>([
    ...(['none', 'lzw', 'deflate', 'oldDeflate', 'packbits'] as const),
    ...(canBeJpeg ? (['jpeg', 'jpeg', 'jpeg'] as const) : []),
    ...(bits === 8 && photometric === 'rgb' ? (['webp'] as const) : []),
  ])
  const isPlain = compression === 'none' || compression === 'packbits'
  const isEncoded = compression === 'jpeg' || compression === 'webp'
  // A JPEG or WebP has no extra samples here, and CMYK only a plane at a time.
  const extras =
    isEncoded || !(photometric === 'rgb' || photometric === 'black') || bits < 8 || chance.is(0.65)
      ? []
      : chance.pick([[0], [1], [2], [0, 0], [2, 0]])
  const channels = coloursOf(photometric) + extras.length
  const planar =
    compression === 'webp' || channels === 1
      ? 1
      : photometric === 'cmyk' && compression === 'jpeg'
        ? 2
        : chance.is(0.25)
          ? 2
          : 1
  const canBeSubsampled = photometric === 'ycbcr' && planar === 1
  const subsampling = !canBeSubsampled
    ? ([1, 1] as const)
    : compression === 'jpeg'
      ? chance.pick([
          [1, 1],
          [2, 2],
        ] as const)
      : chance.pick([
          [1, 1],
          [2, 1],
          [2, 2],
          [4, 2],
        ] as const)
  const isSubsampled = subsampling[0] * subsampling[1] > 1
  const canBePredicted =
    !isPlain && !isEncoded && bits >= 8 && format === 'unsigned' && photometric !== 'palette' && !isSubsampled
  const side = () => (chance.is(0.1) ? chance.integer(1, 16) : chance.integer(17, 220))
  const [width, height] = [side(), side()]
  const tiles = () => 16 * chance.pick([1, 2, 3, 4, 8, 16])
  // Strips of whole units of chroma; of whole blocks of a JPEG.
  const rows = chance.pick([1, 3, 8, 16, 50, height, 2 ** 32 - 1])
  const multiple = compression === 'jpeg' ? 16 : subsampling[1]
  return {
    width,
    height,
    photometric,
    bits,
    format,
    compression,
    predictor: canBePredicted && chance.is(0.4) ? 2 : 1,
    tile: chance.is(0.5) ? { width: tiles(), height: tiles() } : null,
    rowsPerStrip: rows >= height ? rows : Math.ceil(rows / multiple) * multiple,
    planar,
    extras,
    orientation: chance.is(0.65) ? chance.integer(0, 1) : chance.integer(2, 8),
    subsampling,
  }
}

/** Colours times their alpha where it is associated. */
function associated({ photometric, extras }: PageOptions, samples: Samples): Samples {
  const alpha = extras.indexOf(1)
  if (alpha < 0) return samples
  const { channels, values } = samples
  const colours = coloursOf(photometric)
  const scale = values.reduce((most, value) => Math.max(most, value), 0)
  const out = values.slice()
  for (let i = 0; i < out.length; i += channels) {
    const share = (out[i + colours + alpha] as number) / scale
    for (let c = 0; c < colours; c++)
      out[i + c] = scale > 1 ? Math.round((out[i + c] as number) * share) : (out[i + c] as number) * share
  }
  return { ...samples, values: out }
}

/** Red, green and blue of 2^bits colours; 16 bits each, which are whole 8-bit numbers for all ways to reduce them. */
function drawMap(chance: Chance, bits: number): number[] {
  return Array.from({ length: 3 * 2 ** bits }, () => 257 * chance.integer(0, 255))
}

function fieldsOf(options: PageOptions, subfile: number | null, map: readonly number[] | null): Field[] {
  const { width, height, photometric, bits, format, compression, predictor, tile, extras, planar } = options
  const channels = coloursOf(photometric) + extras.length
  const short = (tag: number, ...values: number[]): Field => ({ tag, type: 'SHORT', values })
  const long = (tag: number, ...values: number[]): Field => ({ tag, type: 'LONG', values })
  const fields = [
    long(256, width),
    long(257, height),
    short(258, ...Array.from({ length: channels }, () => bits)),
    short(259, COMPRESSION[compression]),
    short(262, PHOTOMETRIC[photometric]),
    short(277, channels),
    ascii(305, 'drawn'),
  ]
  if (subfile !== null) fields.push(long(254, subfile))
  if (options.orientation > 0) fields.push(short(274, options.orientation))
  if (planar === 2 || width % 2 === 0) fields.push(short(284, planar))
  if (predictor === 2) fields.push(short(317, 2))
  if (map) fields.push(short(320, ...map))
  if (tile) fields.push(long(322, tile.width), long(323, tile.height))
  else fields.push(long(278, options.rowsPerStrip))
  if (extras.length > 0) fields.push(short(338, ...extras))
  if (format !== 'unsigned') fields.push(short(339, ...Array.from({ length: channels }, () => WORDS[format])))
  if (photometric === 'ycbcr') fields.push(short(530, ...options.subsampling))
  return fields
}
