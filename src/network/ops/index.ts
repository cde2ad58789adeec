/** The table of ops: what a network can be made of, and what holds of each of its nodes. */
import type { Shape, Tensor } from '../tensor.js'
import { type AttentionNode, attentions } from './attention.js'
import { type ChannelsNode, channels } from './channels.js'
import { type ConvolutionNode, convolutions } from './convolution.js'
import { type ElementwiseNode, elementwise } from './elementwise.js'
import { type EntropyNode, entropy } from './entropy.js'
import { type IntegerLayerNode, integerLayers } from './integer-layers.js'
import { type LiftingNode, lifting } from './lifting.js'
import type { AttributeContext, Input, Ops, OutputLayout, ParameterUse } from './op.js'

export type * from './attention.js'
export type * from './channels.js'
export type * from './convolution.js'
export type * from './elementwise.js'
export type * from './entropy.js'
export { DEAD_ZONE_TABLE, LATENT_STEPS } from './entropy.js'
export type * from './integer-layers.js'
export { RSQRT_TABLE } from './integer-layers.js'
export type * from './lifting.js'

export type Node =
  | ConvolutionNode
  | LiftingNode
  | ElementwiseNode
  | EntropyNode
  | ChannelsNode
  | IntegerLayerNode
  | AttentionNode

export type OpName = Node['op']

/** The node type of an op. */
export type NodeOf<Name extends OpName> = Extract<Node, { readonly op: Name }>

/** Every op, in the order in which the addon numbers them. */
export const ops: Ops<Node> = {
  ...convolutions,
  ...lifting,
  ...elementwise,
  ...entropy,
  ...channels,
  ...integerLayers,
  ...attentions,
}

/** What the table says of a node: the entry of its op, see {@link Op}, asked about this node. */
export class Description<Name extends OpName = OpName> {
  readonly #op: Ops<Node>[Name]
  readonly #node: NodeOf<Name>

  constructor(name: Name, node: NodeOf<Name>) {
    this.#op = ops[name]
    this.#node = node
  }

  get inputs(): readonly Input[] {
    return this.#op.inputs(this.#node)
  }

  get outputs(): readonly Tensor[] {
    return this.#op.outputs(this.#node)
  }

  get layout(): OutputLayout {
    return this.#op.layout?.(this.#node) ?? 'interleaved'
  }

  get shapes(): readonly (readonly [Tensor, Shape])[] {
    return this.#op.shapes(this.#node)
  }

  parameters(shapeOf: AttributeContext['shapeOf']): readonly ParameterUse[] {
    return this.#op.parameters?.(this.#node, shapeOf) ?? []
  }

  integers(context: AttributeContext): readonly number[] {
    return this.#op.integers?.(this.#node, context) ?? []
  }

  get reals(): readonly number[] {
    return this.#op.reals?.(this.#node) ?? []
  }

  checkLimits(): void {
    this.#op.limits?.(this.#node)
  }

  prove(valuesOf: (parameter: string) => Int32Array): void {
    this.#op.proof?.(this.#node, valuesOf)
  }
}

export function describe(node: Node): Description {
  return new Description(node.op, node)
}

/** All tensors that a node reads. */
export function nodeInputs(node: Node): readonly Tensor[] {
  return describe(node).inputs.map(({ tensor }) => tensor)
}

/** All tensors that a node writes. */
export function nodeOutputs(node: Node): readonly Tensor[] {
  return describe(node).outputs
}
