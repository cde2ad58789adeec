/**
 * Reads pickles without executing anything. A pickle is a program for a stack machine, and Python's own reader calls
 * whatever function it names: that is how a file of weights can take over a computer. Here a name stays a name, and a
 * call becomes a record of what was to be called with what. Lists, tuples and dictionaries are what they are.
 *
 * The machine's steps, the lists and dictionaries that it makes and the depth to which they hold each other are bounded, so
 * that a pickle takes little time and memory whatever it says.
 *
 * Source: CPython, Lib/pickletools.py. Understood are the opcodes that protocols 2 to 5 write for plain data.
 */
import { CorruptDataError } from '../errors.js'

/** A checkpoint of our training takes some 40 a tensor, of which it has some thousand. */
const MAX_STEPS = 2_000_000
/** Lists, tuples, dictionaries and calls, which take much more memory than their opcode. */
const MAX_OBJECTS = 400_000
/** Objects within objects: our training's have 6. */
const MAX_DEPTH = 100

/** Something that a name in the pickle stands for, e.g. "torch._utils _rebuild_tensor_v2". Nobody looked it up. */
export class Named {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A call that was not made. */
export class Call {
  readonly callee: PickleValue
  readonly args: PickleValue
  constructor(callee: PickleValue, args: PickleValue) {
    this.callee = callee
    this.args = args
  }
}

/** Something outside the pickle. */
export class Persistent {
  readonly id: PickleValue
  constructor(id: PickleValue) {
    this.id = id
  }
}

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Named
  | Call
  | Persistent

/** The object in one pickle; lists and tuples are arrays. @throws CorruptDataError ERR_MODEL_CORRUPT */
export function readPickle(bytes: Uint8Array): PickleValue {
  const root = new Machine(bytes).run()
  refuseDeep(root)
  return root
}

function corrupt(what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `The checkpoint is damaged: ${what}`)
}

/** What a value holds. */
function partsOf(value: PickleValue): readonly PickleValue[] {
  if (value instanceof Map) return [...value].flat()
  if (value instanceof Call) return [value.callee, value.args]
  if (value instanceof Persistent) return [value.id]
  return Array.isArray(value) ? value : []
}

/** Whoever looks through the object may do so by recursion, and comes to an end. */
function refuseDeep(root: PickleValue): void {
  /** How deep what a value holds goes below it; of those on the way from the root to where we are it isn't known yet. */
  const known = new Map<PickleValue, number | null>()
  const path: { value: PickleValue; parts: readonly PickleValue[]; next: number; depth: number }[] = []
  const enter = (value: PickleValue): number | null => {
    const parts = partsOf(value)
    if (parts.length === 0) return 0
    const depth = known.get(value)
    if (depth === null) throw corrupt('its pickle holds something that holds itself')
    if (depth !== undefined) return depth
    if (path.length >= MAX_DEPTH) throw corrupt(`its pickle has objects within objects, more than ${MAX_DEPTH} deep`)
    known.set(value, null)
    path.push({ value, parts, next: 0, depth: 0 })
    return null
  }
  enter(root)
  for (let last = path.at(-1); last; last = path.at(-1)) {
    if (last.next === last.parts.length) {
      known.set(last.value, last.depth)
      path.pop()
      const above = path.at(-1)
      if (above) above.depth = Math.max(above.depth, last.depth + 1)
      continue
    }
    const below = enter(last.parts[last.next++] as PickleValue)
    if (below === null) continue
    last.depth = Math.max(last.depth, below + 1)
    if (path.length + below > MAX_DEPTH) {
      throw corrupt(`its pickle has objects within objects, more than ${MAX_DEPTH} deep`)
    }
  }
}

class Machine {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #stack: PickleValue[] = []
  /** Heights of the stack at the marks. */
  readonly #marks: number[] = []
  readonly #memo = new Map<number, PickleValue>()
  #at = 0
  #objects = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  run(): PickleValue {
    for (let step = 0; step < MAX_STEPS; step++) {
      const opcode = this.#u8()
      if (opcode === 0x2e) return this.#pop() // STOP
      const value = this.#step(opcode)
      if (value === undefined) continue
      if (typeof value === 'object' && ++this.#objects > MAX_OBJECTS) {
        throw corrupt(`its pickle has more than ${MAX_OBJECTS} objects`)
      }
      this.#stack.push(value)
    }
    throw corrupt(`its pickle has more than ${MAX_STEPS} steps`)
  }

  /** Does what an opcode says; gives what it pushes. */
  #step(opcode: number): PickleValue | undefined {
    switch (opcode) {
      case 0x80: // PROTO
        if (this.#u8() > 5) throw corrupt('its pickle is of a later protocol')
        return undefined
      case 0x95: // FRAME
        this.#take(8)
        return undefined
      case 0x28: // MARK
        this.#marks.push(this.#stack.length)
        return undefined
      case 0x30: // POP
        this.#pop()
        return undefined
      case 0x31: // POP_MARK
        this.#popMark()
        return undefined
      case 0x32: // DUP
        return this.#top()

      case 0x4e: // NONE
        return null
      case 0x88: // NEWTRUE
        return true
      case 0x89: // NEWFALSE
        return false
      case 0x4b: // BININT1
        return this.#u8()
      case 0x4d: // BININT2
        return this.#view.getUint16(this.#take(2), true)
      case 0x4a: // BININT
        return this.#view.getInt32(this.#take(4), true)
      case 0x8a: // LONG1
        return this.#long(this.#u8())
      case 0x47: // BINFLOAT
        return this.#view.getFloat64(this.#take(8))
      case 0x58: // BINUNICODE
        return this.#text(this.#u32())
      case 0x8c: // SHORT_BINUNICODE
        return this.#text(this.#u8())
      case 0x54: // BINSTRING
      case 0x42: // BINBYTES
        return this.#slice(this.#u32())
      case 0x55: // SHORT_BINSTRING
      case 0x43: // SHORT_BINBYTES
        return this.#slice(this.#u8())

      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return []
      case 0x7d: // EMPTY_DICT
        return new Map()
      case 0x74: // TUPLE
      case 0x6c: // LIST
        return this.#popMark()
      case 0x85: // TUPLE1
        return this.#popMany(1)
      case 0x86: // TUPLE2
        return this.#popMany(2)
      case 0x87: // TUPLE3
        return this.#popMany(3)
      case 0x61: // APPEND
        this.#append(this.#popMany(1))
        return undefined
      case 0x65: // APPENDS
        this.#append(this.#popMark())
        return undefined
      case 0x73: // SETITEM
        this.#setItems(this.#popMany(2))
        return undefined
      case 0x75: // SETITEMS
        this.#setItems(this.#popMark())
        return undefined

      case 0x71: // BINPUT
        this.#memo.set(this.#u8(), this.#top())
        return undefined
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#u32(), this.#top())
        return undefined
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top())
        return undefined
      case 0x68: // BINGET
        return this.#remembered(this.#u8())
      case 0x6a: // LONG_BINGET
        return this.#remembered(this.#u32())

      case 0x63: // GLOBAL
        return new Named(`${this.#line()} ${this.#line()}`)
      case 0x93: // STACK_GLOBAL
        return named(this.#popMany(2))
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ
        return call(this.#popMany(2))
      case 0x62: // BUILD: sets attributes, which are of no interest
        this.#pop()
        return undefined
      case 0x51: // BINPERSID
        return new Persistent(this.#pop())
      default:
        throw corrupt(`its pickle has the opcode 0x${opcode.toString(16)} at byte ${this.#at - 1}`)
    }
  }

  #pop(): PickleValue {
    return this.#popMany(1)[0] as PickleValue
  }

  #popMany(count: number): PickleValue[] {
    const floor = this.#marks.at(-1) ?? 0
    if (this.#stack.length - floor < count) throw corrupt('its pickle takes more from the stack than there is')
    return this.#stack.splice(this.#stack.length - count)
  }

  #popMark(): PickleValue[] {
    const mark = this.#marks.pop()
    if (mark === undefined) throw corrupt('its pickle lacks a mark')
    return this.#stack.splice(mark)
  }

  #top(): PickleValue {
    const floor = this.#marks.at(-1) ?? 0
    if (this.#stack.length === floor) throw corrupt('its pickle looks at an empty stack')
    return this.#stack.at(-1) as PickleValue
  }

  /** Lists grow; what else is appended to was to be made by a call, and is of no interest. */
  #append(values: readonly PickleValue[]): void {
    const target = this.#top()
    if (!Array.isArray(target)) return
    for (const value of values) target.push(value)
  }

  #setItems(values: readonly PickleValue[]): void {
    const target = this.#top()
    if (!(target instanceof Map)) return
    for (let i = 0; i + 1 < values.length; i += 2) {
      target.set(values[i] as PickleValue, values[i + 1] as PickleValue)
    }
  }

  #remembered(key: number): PickleValue {
    const value = this.#memo.get(key)
    if (value === undefined) throw corrupt(`its pickle remembers nothing under ${key}`)
    return value
  }

  #long(length: number): number | bigint {
    const bytes = this.#slice(length)
    let value = 0n
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number)
    if (length > 0) value = BigInt.asIntN(8 * length, value)
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0) throw corrupt('its pickle ends within a name')
    const text = this.#text(end - this.#at)
    this.#at++
    return text
  }

  #text(length: number): string {
    return new TextDecoder().decode(this.#slice(length))
  }

  #slice(length: number): Uint8Array {
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  #u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  /** Where the next bytes begin. */
  #take(length: number): number {
    const start = this.#at
    if (start + length > this.#bytes.length) throw corrupt('its pickle is cut short')
    this.#at += length
    return start
  }
}

/** A name made of two strings, as Python demands too: of anything else its text could be of any length. */
function named([module, name]: readonly PickleValue[]): Named {
  if (typeof module !== 'string' || typeof name !== 'string') throw corrupt('its pickle has a name that is no text')
  return new Named(`${module} ${name}`)
}

/** An ordered dictionary is a dictionary; it is filled after it is made. */
function call([callee, args]: readonly PickleValue[]): PickleValue {
  if (callee instanceof Named && callee.name === 'collections OrderedDict') return new Map()
  return new Call(callee as PickleValue, args as PickleValue)
}
