/** A stand-in for VTM: programs of its names that take its options, and a codec that quantizes and deflates. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const encoder = `
const { readFileSync, writeFileSync } = require('node:fs')
const { deflateSync } = require('node:zlib')
if (process.argv.length < 3) {
  console.log('\\nVVCSoftware: VTM Encoder Version 17.0 [Linux][a stand-in]')
  process.exit(1)
}
const options = Object.fromEntries(process.argv.slice(2).map((word) => word.replace(/^--/, '').split('=')))
readFileSync(process.argv[process.argv.indexOf('-c') + 1])
const image = readFileSync(options.InputFile)
if (image.length !== options.SourceWidth * options.SourceHeight * 3 * 2) process.exit(2)
const step = 2 ** (options.QP / 6)
const samples = new Uint16Array(image.buffer, image.byteOffset, image.length / 2).map((value) => Math.round(value / step))
writeFileSync(options.BitstreamFile, Buffer.concat([Buffer.from([options.QP]), deflateSync(new Uint8Array(samples.buffer))]))
`

const decoder = `
const { readFileSync, writeFileSync } = require('node:fs')
const { inflateSync } = require('node:zlib')
const [, coded, , image, , depth] = process.argv.slice(2)
if (depth !== '10') process.exit(2)
const bytes = readFileSync(coded)
const samples = new Uint16Array(new Uint8Array(inflateSync(bytes.subarray(1))).buffer)
writeFileSync(image, new Uint8Array(samples.map((value) => Math.min(1023, Math.round(value * 2 ** (bytes[0] / 6)))).buffer))
`

/**
 * Makes a source tree as VTM's is, built.
 *
 * @returns the folder of the programs, for the PATH
 */
export function fakeVtm(folder: string, ending = ''): string {
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  mkdirSync(join(folder, 'cfg'), { recursive: true })
  writeFileSync(join(folder, 'cfg', 'encoder_intra_vtm.cfg'), 'IntraPeriod : 1\n')
  for (const [name, script] of [
    ['EncoderApp', encoder],
    ['DecoderApp', decoder],
  ] as const) {
    const path = join(bin, `${name}${ending}`)
    writeFileSync(path, `#!${process.execPath}\n${script}`)
    chmodSync(path, 0o755)
  }
  return bin
}
