/** The kernels of every op. */
import type { Node, NodeOf, OpName } from '../../network/graph.js'
import type { Action, KernelContext, Kernels } from '../dispatch.js'
import { attentionKernels } from './attention.js'
import { channelKernels } from './channels.js'
import { convKernels } from './conv.js'
import { deformKernels } from './deform.js'
import { elementwiseKernels } from './elementwise.js'
import { entropyKernels } from './entropy.js'
import { gdnKernels } from './gdn.js'
import { integerConvKernels } from './integer-conv.js'
import { layerNormKernels } from './layer-norm.js'
import { liftingKernels } from './lifting.js'

const kernels: Kernels<OpName> = {
  ...convKernels,
  ...deformKernels,
  ...gdnKernels,
  ...liftingKernels,
  ...elementwiseKernels,
  ...entropyKernels,
  ...channelKernels,
  ...integerConvKernels,
  ...layerNormKernels,
  ...attentionKernels,
}

function actionsAs<Name extends OpName>(name: Name, node: NodeOf<Name>, context: KernelContext): Action[] {
  return kernels[name](node, context)
}

/** The actions that compute a node, in order. */
export function actionsOf(node: Node, context: KernelContext): Action[] {
  return actionsAs(node.op, node, context)
}
