import type { Node } from '../../network/graph.js'
import type { Action, KernelContext } from '../dispatch.js'
import { linearAttention, windowAttention } from './attention.js'
import { concat, slice } from './channels.js'
import { conv } from './conv.js'
import { deform } from './deform.js'
import { depthwise } from './depthwise.js'
import { add, gain, layerNorm, mask, pool, round, scale } from './elementwise.js'
import { dequantise, quantise, scaleIndex } from './entropy.js'
import { gdn } from './gdn.js'
import { liftMerge, liftSplit, liftStep } from './lifting.js'

/** The actions that compute a node, in order. Throws a RangeError for shapes that don't fit together. */
export function describe(node: Node, context: KernelContext): Action[] {
  switch (node.op) {
    case 'conv':
      return conv(node, context)
    case 'depthwise':
      return depthwise(node, context)
    case 'deform':
      return deform(node, context)
    case 'gdn':
      return gdn(node, context)
    case 'liftSplit':
      return liftSplit(node)
    case 'liftMerge':
      return liftMerge(node)
    case 'liftStep':
      return liftStep(node, context)
    case 'scale':
      return scale(node)
    case 'gain':
      return gain(node)
    case 'pool':
      return pool(node)
    case 'layerNorm':
      return layerNorm(node, context)
    case 'windowAttention':
      return windowAttention(node, context)
    case 'linearAttention':
      return linearAttention(node, context)
    case 'mask':
      return mask(node)
    case 'add':
      return add(node)
    case 'round':
      return round(node)
    case 'scaleIndex':
      return scaleIndex(node, context)
    case 'quantise':
      return quantise(node)
    case 'dequantise':
      return dequantise(node)
    case 'slice':
      return slice(node)
    case 'concat':
      return concat(node, context)
  }
}
