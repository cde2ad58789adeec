import test from 'ava'
import { readSafetensors } from '../../src/model/safetensors.js'

function file(header: unknown, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = Buffer.alloc(8 + json.length + body.length)
  bytes.writeBigUInt64LE(BigInt(json.length))
  json.copy(bytes, 8)
  bytes.set(body, 8 + json.length)
  return bytes
}

const one = { dtype: 'F32', shape: [1], data_offsets: [0, 4] }

test('reads every element type at any alignment', (t) => {
  const body = Buffer.alloc(17)
  body.writeFloatLE(1.5, 1)
  body.writeInt32LE(-7, 5)
  body.writeUInt16LE(0xc000, 9)
  body.writeUInt16LE(0x0001, 11)
  body.writeInt16LE(-32768, 13)
  body.writeInt16LE(2047, 15)
  const { tensors, metadata } = readSafetensors(
    file(
      {
        __metadata__: { a: 'b' },
        u: { dtype: 'U8', shape: [], data_offsets: [0, 1] },
        f: { dtype: 'F32', shape: [1, 1], data_offsets: [1, 5] },
        i: { dtype: 'I32', shape: [1], data_offsets: [5, 9] },
        h: { dtype: 'F16', shape: [2], data_offsets: [9, 13] },
        s: { dtype: 'I16', shape: [2], data_offsets: [13, 17] },
      },
      body,
    ),
  )
  t.is(metadata.a, 'b')
  t.deepEqual([...(tensors.get('f')?.data ?? [])], [1.5])
  t.deepEqual([...(tensors.get('i')?.data ?? [])], [-7])
  t.deepEqual([...(tensors.get('h')?.data ?? [])], [-2, 2 ** -24])
  t.deepEqual(tensors.get('s')?.data, Int32Array.of(-32768, 2047))
  t.deepEqual(tensors.get('u')?.shape, [])
})

test('half precision covers zeros, subnormals, infinities and NaN', (t) => {
  const halves = [0x0000, 0x8000, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x3c01]
  const body = Buffer.alloc(halves.length * 2)
  for (const [i, half] of halves.entries()) body.writeUInt16LE(half, i * 2)
  const header = { h: { dtype: 'F16', shape: [halves.length], data_offsets: [0, body.length] } }
  const values = [...(readSafetensors(file(header, body)).tensors.get('h')?.data ?? [])]
  t.deepEqual(values, [0, -0, 1023 * 2 ** -24, 2 ** -14, 65504, Infinity, -Infinity, Number.NaN, 1 + 2 ** -10])
})

for (const [what, bytes] of Object.entries({
  'an empty file': new Uint8Array(0),
  'a header longer than the file': Buffer.from('ffffffffffffff7f7b7d', 'hex'),
  'a header that is not JSON': file('{"a":'),
  'a header that is not UTF-8': file('\u0000'),
  'a header that is a list': file([]),
  'metadata that is not strings': file({ __metadata__: { a: 1 } }),
  'a tensor outside the file': file({ a: one }),
  'a tensor with a negative offset': file({ a: { ...one, data_offsets: [-4, 0] } }, new Uint8Array(4)),
  'a tensor whose bytes do not fit its shape': file({ a: { ...one, shape: [2] } }, new Uint8Array(4)),
  'a tensor of astronomic shape': file({ a: { ...one, shape: [1e9, 1e9, 1e9] } }, new Uint8Array(4)),
  'tensors that share their bytes': file({ a: one, b: one }, new Uint8Array(4)),
  'a fractional shape': file({ a: { ...one, shape: [0.5] } }, new Uint8Array(4)),
  'a tensor without offsets': file({ a: { dtype: 'F32', shape: [1] } }, new Uint8Array(4)),
})) {
  test(`refuses ${what}`, (t) => {
    t.throws(() => readSafetensors(bytes), { code: 'ERR_MODEL_CORRUPT' })
  })
}

test('an unknown element type is unsupported', (t) => {
  t.throws(() => readSafetensors(file({ a: { ...one, dtype: 'BF16' } }, new Uint8Array(4))), {
    code: 'ERR_MODEL_UNSUPPORTED',
  })
})
