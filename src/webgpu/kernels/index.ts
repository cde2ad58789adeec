import type { Node } from '../../network/graph.js'
import type { Action, KernelContext } from '../dispatch.js'
import { integerLinearAttention, integerWindowAttention } from './attention.js'
import { concat, slice } from './channels.js'
import { conv } from './conv.js'
import { deform } from './deform.js'
import { add, gain, integerLayerNorm, mask, pool, requantise, round, scale } from './elementwise.js'
import { dequantise, quantise, scaleIndex } from './entropy.js'
import { gdn } from './gdn.js'
import { integerConv, integerDepthwise } from './integer-conv.js'
import { liftMerge, liftSplit, liftStep } from './lifting.js'

/** The actions that compute a node, in order. Throws a RangeError for shapes that don't fit together. */
export function describe(node: Node, context: KernelContext): Action[] {
  switch (node.op) {
    case 'conv':
      return conv(node, context)
    case 'integerConv':
      return integerConv(node, context)
    case 'integerDepthwise':
      return integerDepthwise(node, context)
    case 'requantise':
      return requantise(node, context)
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
    case 'integerLayerNorm':
      return integerLayerNorm(node, context)
    case 'integerWindowAttention':
      return integerWindowAttention(node, context)
    case 'integerLinearAttention':
      return integerLinearAttention(node, context)
    case 'mask':
      return mask(node)
    case 'add':
      return add(node)
    case 'round':
      return round(node)
    case 'scaleIndex':
      return scaleIndex(node, context)
    case 'quantise':
      return quantise(node, context)
    case 'dequantise':
      return dequantise(node)
    case 'slice':
      return slice(node, context)
    case 'concat':
      return concat(node, context)
  }
}
