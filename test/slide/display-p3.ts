/** Display P3: its ICC profile, and the way from it to sRGB, computed from chromaticities (SMPTE EG 432-1, IEC 61966-2-1). */

type Matrix = readonly (readonly [number, number, number])[]

const D65 = [0.3127, 0.329] as const
const D50 = [0.9642, 1, 0.8249] as const
const P3 = [
  [0.68, 0.32],
  [0.265, 0.69],
  [0.15, 0.06],
] as const
const SRGB = [
  [0.64, 0.33],
  [0.3, 0.6],
  [0.15, 0.06],
] as const
/** Bradford's cone response (ICC.1:2022, annex E). */
const BRADFORD: Matrix = [
  [0.8951, 0.2664, -0.1614],
  [-0.7502, 1.7135, 0.0367],
  [0.0389, -0.0685, 1.0296],
]

function times(a: Matrix, b: Matrix): Matrix {
  return a.map(
    (row) =>
      [0, 1, 2].map((j) => row.reduce((sum, value, k) => sum + value * (b[k]?.[j] as number), 0)) as unknown as [
        number,
        number,
        number,
      ],
  )
}

function apply(matrix: Matrix, vector: readonly number[]): number[] {
  return matrix.map((row) => row.reduce((sum, value, k) => sum + value * (vector[k] as number), 0))
}

function inverse(m: Matrix): Matrix {
  const at = (i: number, j: number) => m[i % 3]?.[j % 3] as number
  const cofactor = (i: number, j: number) => at(i + 1, j + 1) * at(i + 2, j + 2) - at(i + 1, j + 2) * at(i + 2, j + 1)
  const determinant = [0, 1, 2].reduce((sum, j) => sum + at(0, j) * cofactor(0, j), 0)
  return [0, 1, 2].map((i) => [0, 1, 2].map((j) => cofactor(j, i) / determinant) as unknown as [number, number, number])
}

function xyzOf([x, y]: readonly [number, number]): [number, number, number] {
  return [x / y, 1, (1 - x - y) / y]
}

function diagonal(values: readonly number[]): Matrix {
  return values.map((value, i) => [0, 1, 2].map((j) => (i === j ? value : 0)) as unknown as [number, number, number])
}

/** Linear RGB to XYZ, before the white of D65. */
function toXyz(primaries: typeof P3 | typeof SRGB): Matrix {
  const columns = primaries.map(xyzOf)
  const matrix = [0, 1, 2].map(
    (i) => columns.map((column) => column[i] as number) as unknown as [number, number, number],
  )
  return times(matrix, diagonal(apply(inverse(matrix), xyzOf(D65))))
}

/** The curve of both: 0 to 1 as stored, to 0 to 1 as light. */
function linear(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
}

function encoded(light: number): number {
  const within = Math.min(1, Math.max(0, light))
  return within <= 0.0031308 ? 12.92 * within : 1.055 * within ** (1 / 2.4) - 0.055
}

/** Pixels of Display P3 in sRGB; colours that sRGB hasn't are cut channel by channel. */
export function fromDisplayP3(pixels: Uint8Array): Uint8Array {
  const matrix = times(inverse(toXyz(SRGB)), toXyz(P3))
  const out = new Uint8Array(pixels.length)
  for (let i = 0; i < pixels.length; i += 3) {
    const light = [...pixels.subarray(i, i + 3)].map((value) => linear(value / 255))
    for (const [c, value] of apply(matrix, light).entries()) out[i + c] = Math.round(255 * encoded(value))
  }
  return out
}

/** Numbers as ICC profiles have them, in 16.16 bits. */
function fixed(type: string, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 + 4 * values.length)
  bytes.write(type)
  for (const [i, value] of values.entries()) bytes.writeInt32BE(Math.round(value * 65536), 8 + 4 * i)
  return bytes
}

/** The way from the white of D65 to that of D50. */
function adaptation(): Matrix {
  const [from, to] = [apply(BRADFORD, xyzOf(D65)), apply(BRADFORD, D50)]
  const scale = diagonal(to.map((value, i) => value / (from[i] as number)))
  return times(inverse(BRADFORD), times(scale, BRADFORD))
}

/** A profile of Display P3, version 4: primaries adapted to D50, and its curve as a parametric one. */
export function displayP3(): Uint8Array {
  const matrix = times(adaptation(), toXyz(P3))
  const curve = Buffer.concat([
    Buffer.from('para\0\0\0\0\0\x03\0\0'),
    fixed('', [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]).subarray(8),
  ])
  const column = (i: number) =>
    fixed(
      'XYZ ',
      matrix.map((row) => row[i] as number),
    )
  return profileOf([
    ['rXYZ', column(0)],
    ['gXYZ', column(1)],
    ['bXYZ', column(2)],
    ['rTRC', curve],
    ['gTRC', curve],
    ['bTRC', curve],
  ])
}

/** Places of a table a channel. */
const GRID = 33

/** The same colours as a table (lut16Type) from RGB to CIELAB, as profiles of scanners have it. */
export function displayP3Table(): Uint8Array {
  const matrix = times(adaptation(), toXyz(P3))
  const numbers = (values: readonly number[]) => {
    const bytes = Buffer.alloc(2 * values.length)
    for (const [i, value] of values.entries()) bytes.writeUInt16BE(Math.min(65535, Math.round(value)), 2 * i)
    return bytes
  }
  const places = Array.from({ length: GRID ** 3 }, (_, i) => {
    const rgb = [Math.floor(i / GRID ** 2), Math.floor(i / GRID) % GRID, i % GRID].map((at) => at / (GRID - 1))
    const [l, a, b] = labOf(apply(matrix, rgb.map(linear))) as [number, number, number]
    return [652.8 * l, 256 * (a + 128), 256 * (b + 128)]
  })
  const line = [0, 65535]
  const table = Buffer.concat([
    Buffer.from(`mft2\0\0\0\0\x03\x03${String.fromCharCode(GRID)}\0`),
    fixed('', [1, 0, 0, 0, 1, 0, 0, 0, 1]).subarray(8),
    numbers([2, 2]),
    numbers([...line, ...line, ...line]),
    numbers(places.flat()),
    numbers([...line, ...line, ...line]),
  ])
  return profileOf([['A2B0', table]], 'Lab ')
}

/** CIELAB before the white of D50. */
function labOf(xyz: readonly number[]): number[] {
  const [x, y, z] = xyz.map((value, i) => {
    const share = value / (D50[i] as number)
    return share > 216 / 24389 ? Math.cbrt(share) : (share * 24389) / 27 / 116 + 16 / 116
  }) as [number, number, number]
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
}

function profileOf(colours: readonly (readonly [tag: string, bytes: Buffer])[], space = 'XYZ '): Uint8Array {
  const text = (words: string) => {
    const bytes = Buffer.alloc(28 + 2 * words.length)
    bytes.write('mluc\0\0\0\0\0\0\0\x01\0\0\0\x0cenUS')
    bytes.writeUInt32BE(2 * words.length, 20)
    bytes.writeUInt32BE(28, 24)
    for (let i = 0; i < words.length; i++) bytes.writeUInt16BE(words.charCodeAt(i), 28 + 2 * i)
    return bytes
  }
  const elements: (readonly [string, Buffer])[] = [
    ['desc', text('Display P3')],
    ['cprt', text('none')],
    ['wtpt', fixed('XYZ ', D50)],
    ['chad', fixed('sf32', adaptation().flat())],
    ...colours,
  ]
  const header = Buffer.alloc(128)
  header.writeUInt32BE(0x04400000, 8)
  header.write(`mntrRGB ${space}`, 12)
  header.writeUInt16BE(2026, 24)
  header.writeUInt16BE(1, 26)
  header.writeUInt16BE(1, 28)
  header.write('acsp', 36)
  fixed('', D50).copy(header, 68, 8)
  const table = Buffer.alloc(4 + 12 * elements.length)
  table.writeUInt32BE(elements.length)
  const body: Buffer[] = []
  let at = header.length + table.length
  for (const [i, [tag, bytes]] of elements.entries()) {
    table.write(tag, 4 + 12 * i)
    table.writeUInt32BE(at, 8 + 12 * i)
    table.writeUInt32BE(bytes.length, 12 + 12 * i)
    const padded = Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
    body.push(padded)
    at += padded.length
  }
  header.writeUInt32BE(at)
  return Uint8Array.from(Buffer.concat([header, table, ...body]))
}
