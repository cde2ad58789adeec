/** The rANS stream by docs/format.md: the page's own loops, in numbers that hold any of its states exactly. */
import type { CdfTables } from '../../../src/entropy/rans.js'
import { type FormatDocument, get, put } from './document.js'

/** One step of the coder: the slots of a symbol or of a bypass bit. */
export interface Slots {
  readonly start: number
  readonly freq: number
}

interface Numbers {
  readonly slots: number
  readonly first: number
  readonly states: number
  readonly radix: number
  readonly stateBytes: number
  readonly bypass: number
  readonly mostZeros: number
}

function numbersOf(document: FormatDocument): Numbers {
  const number = (label: string) => document.number('rANS', label)
  return {
    slots: number('slots of a table'),
    first: number('first state, and the least one'),
    states: number('states: x is less than'),
    radix: number('radix'),
    stateBytes: number('bytes of x in front of the stream'),
    bypass: number('frequency of each of the two values of a bypass bit'),
    mostZeros: number('most zeros of an escaped value'),
  }
}

export function encodeStream(document: FormatDocument, steps: readonly Slots[]): Uint8Array {
  const { slots, first, states, radix, stateBytes } = numbersOf(document)
  const backwards: number[] = []
  let x = first
  for (const { start, freq } of steps.toReversed()) {
    while (x >= freq * (states / slots)) {
      backwards.push(x % radix)
      x = Math.floor(x / radix)
    }
    x = Math.floor(x / freq) * slots + start + (x % freq)
  }
  const state = new Uint8Array(stateBytes)
  put(new DataView(state.buffer), 0, stateBytes, x)
  return Uint8Array.from([...state, ...backwards.reverse()])
}

/** The steps that code a value under one of the tables; any integer, also those that no symbol has. */
export function stepsOf(document: FormatDocument, tables: CdfTables, table: number, value: number): Slots[] {
  const { bypass } = numbersOf(document)
  const [at, size, least] = [tables.offset[table], tables.size[table], tables.min[table]] as [number, number, number]
  const slotsOf = (symbol: number): Slots => {
    const [start, end] = [tables.values[at + symbol] as number, tables.values[at + symbol + 1] as number]
    return { start, freq: end - start }
  }
  const last = size - 1
  if (value >= least && value < least + last) return [slotsOf(value - least)]
  const isBelow = value < least
  const beyond = (isBelow ? least - 1 - value : value - (least + last)) + 1
  const bits = beyond.toString(2)
  const code = `${Number(isBelow)}${'0'.repeat(bits.length - 1)}${bits}`
  return [slotsOf(last), ...Array.from(code, (bit): Slots => ({ start: Number(bit) * bypass, freq: bypass }))]
}

export class StreamReader {
  readonly #numbers: Numbers
  readonly #bytes: Uint8Array
  #x: number
  #at: number

  constructor(document: FormatDocument, bytes: Uint8Array) {
    this.#numbers = numbersOf(document)
    this.#bytes = bytes
    this.#at = this.#numbers.stateBytes
    this.#x = get(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, this.#numbers.stateBytes)
  }

  /** The next value, under one of the tables. */
  read(tables: CdfTables, table: number): number {
    const { bypass, mostZeros } = this.#numbers
    const [at, size, least] = [tables.offset[table], tables.size[table], tables.min[table]] as [number, number, number]
    const cumulative = tables.values.subarray(at, at + size + 1)
    const symbol = this.#step((slot) => {
      const owner = cumulative.findIndex((end, i) => i > 0 && slot < end) - 1
      const start = cumulative[owner] as number
      return { start, freq: (cumulative[owner + 1] as number) - start, symbol: owner }
    })
    if (symbol < size - 1) return least + symbol
    const bit = () =>
      this.#step((slot) => {
        const symbol = Math.floor(slot / bypass)
        return { start: symbol * bypass, freq: bypass, symbol }
      })
    const isBelow = bit() === 1
    let zeros = 0
    while (bit() === 0) if (++zeros > mostZeros) throw new Error('too many zeros')
    let code = 1
    for (let i = 0; i < zeros; i++) code = 2 * code + bit()
    return isBelow ? least - code : least + size - 1 + code - 1
  }

  /** Fails unless the stream ends here. */
  finish(): void {
    if (this.#x !== this.#numbers.first) throw new Error(`the last state is ${this.#x}`)
    if (this.#at !== this.#bytes.length) throw new Error('bytes are left')
  }

  #step(find: (slot: number) => Slots & { readonly symbol: number }): number {
    const { slots, first, radix } = this.#numbers
    const { start, freq, symbol } = find(this.#x % slots)
    this.#x = freq * Math.floor(this.#x / slots) + (this.#x % slots) - start
    while (this.#x < first) {
      if (this.#at >= this.#bytes.length) throw new Error('it ends too early')
      this.#x = this.#x * radix + (this.#bytes[this.#at++] as number)
    }
    return symbol
  }
}
