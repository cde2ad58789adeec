/**
 * Builds a model file of ONNX, node by node.
 *
 * The protobuf messages are written by hand (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): only a dozen
 * fields are used.
 */
import type { Tensor } from 'cleric/internal'

type Attribute = number | string | readonly number[] | { readonly float: number }

/** One message: fields as they are added. */
class Message {
  readonly #parts: Uint8Array[] = []

  integer(field: number, value: number): this {
    this.#parts.push(varint(field * 8), varint(value))
    return this
  }

  float(field: number, value: number): this {
    this.#parts.push(varint(field * 8 + 5), new Uint8Array(Float32Array.of(value).buffer))
    return this
  }

  bytes(field: number, value: Uint8Array | string | Message): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value instanceof Message ? value.finish() : value
    this.#parts.push(varint(field * 8 + 2), varint(bytes.length), bytes)
    return this
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts)
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  // Negative integers are 64-bit two's complement.
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Uint8Array.from(bytes)
}

export class OnnxBuilder {
  readonly #graph = new Message()
  readonly #constants = new Map<string, string>()
  #count = 0

  /** Adds a node with one output; gives that output's name. */
  node(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output?: string,
  ): string {
    const name = output ?? `v${this.#count++}`
    const node = new Message()
    for (const input of inputs) node.bytes(1, input)
    node.bytes(2, name).bytes(4, op)
    for (const [key, value] of Object.entries(attributes)) {
      const attribute = new Message().bytes(1, key)
      if (typeof value === 'number') attribute.integer(3, value).integer(20, 2)
      else if (typeof value === 'string') attribute.bytes(4, value).integer(20, 3)
      else if ('float' in value) attribute.float(2, value.float).integer(20, 1)
      else {
        for (const entry of value) attribute.integer(8, entry)
        attribute.integer(20, 7)
      }
      node.bytes(5, attribute)
    }
    this.#graph.bytes(1, node)
    return name
  }

  /** A constant; the same `key` is stored once. */
  constant(key: string, shape: readonly number[], make: () => Float32Array | BigInt64Array): string {
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const data = make()
    const tensor = new Message()
    for (const side of shape) tensor.integer(1, side)
    tensor.integer(2, data instanceof Float32Array ? 1 : 7).bytes(8, key)
    tensor.bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    this.#graph.bytes(5, tensor)
    this.#constants.set(key, key)
    return key
  }

  integers(values: readonly number[]): string {
    return this.constant(`i:${values.join()}`, [values.length], () => BigInt64Array.from(values, BigInt))
  }

  scalar(value: number): string {
    return this.constant(`f:${value}`, [], () => Float32Array.of(value))
  }

  port(direction: 'input' | 'output', name: string, { shape }: Tensor): void {
    const dimensions = new Message()
    for (const side of [1, shape.channels, shape.height, shape.width]) {
      dimensions.bytes(1, new Message().integer(1, side))
    }
    const type = new Message().bytes(1, new Message().integer(1, 1).bytes(2, dimensions))
    this.#graph.bytes(direction === 'input' ? 11 : 12, new Message().bytes(1, name).bytes(2, type))
  }

  finish(): Uint8Array {
    const opset = new Message().bytes(1, '').integer(2, 20)
    return new Message().integer(1, 9).bytes(7, this.#graph.bytes(2, 'cleric')).bytes(8, opset).finish()
  }
}

export const nameOf = (tensor: Tensor): string => `t${tensor.id}`
