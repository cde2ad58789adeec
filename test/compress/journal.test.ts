/** The journal's bytes, as its source describes them, and what is read of one that is damaged. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import {
  encodeJournalHead,
  encodeRecord,
  readFingerprint,
  readRecords,
  recordPosition,
  type TileRecord,
} from '../../src/compress/journal.js'
import { crc32c } from '../../src/entropy/crc32c.js'

const FINGERPRINT = Uint8Array.from({ length: 32 }, (_, i) => 200 + i)
/** Beyond 4 GiB, so that the whole of an offset counts. */
const record = (number: number): TileRecord => {
  const place = {
    offset: 2 ** 40 + number,
    length: 3 * number,
    seen: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, number & 255),
  }
  if (number === 0) return { ...place, colour: Uint8Array.of(9, 2, 3, 1), crc: 0, check: new Uint8Array(2) }
  return { ...place, colour: Uint8Array.of(0, 0, 0, 3), crc: 0xdeadbeef, check: Uint8Array.of(140, (number % 5) + 1) }
}

async function opened(t: ExecutionContext, ...parts: readonly Uint8Array[]): Promise<FileHandle> {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-journal-'))
  const path = join(folder, 'journal')
  writeFileSync(path, Buffer.concat(parts))
  const file = await open(path)
  t.teardown(async () => {
    await file.close()
    rmSync(folder, { recursive: true })
  })
  return file
}

const recordsIn = async (file: FileHandle) => {
  const records: TileRecord[] = []
  for await (const each of readRecords(file)) records.push(each)
  return records
}

test('head and record have their bytes where the format says', (t) => {
  const head = Buffer.from(encodeJournalHead(FINGERPRINT, 70_000))
  t.is(head.length, 48)
  t.is(head.toString('latin1', 0, 8), 'CLERICJ\u0003')
  t.deepEqual(new Uint8Array(head.subarray(8, 40)), FINGERPRINT)
  t.is(head.readUInt32LE(40), 70_000)
  t.is(head.readUInt32LE(44), crc32c(head.subarray(0, 44)))
  const bytes = Buffer.from(encodeRecord(300, { ...record(300), colour: Uint8Array.of(44, 2, 3, 1) }))
  t.is(bytes.length, 40)
  t.deepEqual([bytes.readUInt32LE(0), bytes.readUInt32LE(4)], [300, 900])
  t.is(bytes.readBigUInt64LE(8), 2n ** 40n + 300n)
  t.deepEqual([...bytes.subarray(16, 20)], [44, 2, 3, 1])
  t.is(bytes.readUInt32LE(20), 0xdeadbeef)
  t.deepEqual([...bytes.subarray(24, 36)], [140, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 44])
  t.is(bytes.readUInt32LE(36), crc32c(bytes.subarray(0, 36)))
  t.is(recordPosition(0), 48)
  t.is(recordPosition(3), 48 + 3 * 40)
})

test('a fingerprint is that of a whole head, or none', async (t) => {
  const head = encodeJournalHead(FINGERPRINT, 9)
  t.deepEqual(await readFingerprint(await opened(t, head)), FINGERPRINT)
  t.is(await readFingerprint(await opened(t, head.subarray(0, 47))), null)
  for (const at of [0, 7, 8, 39, 40, 44, 47]) {
    const flipped = head.with(at, (head[at] as number) ^ 1)
    t.is(await readFingerprint(await opened(t, flipped)), null, `byte ${at}`)
  }
  // A file of another kind is no journal, though its checksum agrees.
  const other = head.with(0, 0x44)
  new DataView(other.buffer).setUint32(44, crc32c(other.subarray(0, 44)), true)
  t.is(await readFingerprint(await opened(t, other)), null)
})

test('records are read in order, over batches, up to the first that is not whole', async (t) => {
  const head = encodeJournalHead(FINGERPRINT, 5000)
  const all = Array.from({ length: 5000 }, (_, number) => encodeRecord(number, record(number)))
  t.deepEqual(await recordsIn(await opened(t, head)), [])
  const read = await recordsIn(await opened(t, head, ...all))
  t.is(read.length, 5000)
  for (const number of [0, 1, 4095, 4096, 4999]) t.deepEqual(read[number], record(number))
  const exactly = await recordsIn(await opened(t, head, ...all.slice(0, 4096)))
  t.is(exactly.length, 4096)
  const cut = await recordsIn(await opened(t, head, ...all.slice(0, 4), (all[4] as Uint8Array).subarray(0, 31)))
  t.is(cut.length, 4)
  for (const at of [0, 4, 8, 16, 20, 28]) {
    const damaged = (all[2] as Uint8Array).with(at, ((all[2] as Uint8Array)[at] as number) ^ 1)
    t.is((await recordsIn(await opened(t, head, ...all.slice(0, 2), damaged, ...all.slice(3, 6)))).length, 2, `${at}`)
  }
  // A record that is whole, but in the place of another.
  const moved = [all[0], all[2], all[1]] as Uint8Array[]
  t.is((await recordsIn(await opened(t, head, ...moved))).length, 1)
})

test('records that no archive may have, with a right checksum, end what is read', async (t) => {
  const [blank, stored] = [record(0), record(2)]
  for (const wrong of [
    { ...blank, colour: Uint8Array.of(9, 2, 3, 0) },
    { ...blank, colour: Uint8Array.of(9, 2, 3, 3) },
    { ...blank, colour: Uint8Array.of(9, 2, 3, 4) },
    { ...blank, colour: Uint8Array.of(9, 2, 3, 255) },
    { ...blank, crc: 1 },
    { ...blank, check: Uint8Array.of(1, 0) },
    { ...stored, colour: Uint8Array.of(0, 0, 0, 1) },
    { ...stored, colour: Uint8Array.of(0, 0, 0, 2) },
    { ...stored, colour: Uint8Array.of(0, 0, 0, 4) },
    { ...stored, colour: Uint8Array.of(1, 0, 0, 0) },
  ]) {
    const bytes = [record(0), wrong, stored].map((each, number) => encodeRecord(number, each))
    const file = await opened(t, encodeJournalHead(FINGERPRINT, 3), ...bytes)
    t.deepEqual(await recordsIn(file), [record(0)], JSON.stringify(wrong))
  }
})
