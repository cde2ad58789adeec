import test from 'ava'
import fc from 'fast-check'
import { crc32c } from '../../src/entropy/crc32c.js'
import { addon } from '../../src/native/addon.js'

// RFC 3720, B.4, and the check value of the catalogue of parametrised CRCs.
const known: [string, Uint8Array, number][] = [
  ['nothing', new Uint8Array(0), 0],
  ['"123456789"', new TextEncoder().encode('123456789'), 0xe3069283],
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(255), 0x62a8ab43],
  ['32 rising', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['32 falling', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
]

for (const [name, bytes, crc] of known) {
  test(`CRC-32C of ${name}`, (t) => {
    t.is(crc32c(bytes), crc)
    t.is(addon().crc32cPortable(bytes, 0), crc)
  })
}

test('in pieces, at any alignment, with and without the instruction: the same', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(15), (bytes, cut, align) => {
      const moved = new Uint8Array(bytes.length + align).subarray(align)
      moved.set(bytes)
      const whole = crc32c(bytes)
      t.is(crc32c(moved), whole)
      t.is(addon().crc32cPortable(moved, 0), whole)
      t.is(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), whole)
      t.is(addon().crc32cPortable(bytes.subarray(cut), addon().crc32cPortable(bytes.subarray(0, cut), 0)), whole)
    }),
  )
})

test('one flipped bit changes the CRC', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), (bytes, at) => {
      const flipped = bytes.slice()
      const bit = at % (bytes.length * 8)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      t.not(crc32c(flipped), crc32c(bytes))
    }),
  )
})

test('arguments of the wrong type', (t) => {
  t.throws(() => crc32c('abc' as unknown as Uint8Array), { instanceOf: TypeError })
  t.throws(() => crc32c(new Uint8Array(1), -1), { instanceOf: RangeError })
  t.throws(() => crc32c(new Uint8Array(1), 2 ** 32), { instanceOf: RangeError })
})
