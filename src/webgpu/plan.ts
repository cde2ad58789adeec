/**
 * Turns a graph into actions and memory: each stage's actions in order, and for every tensor a slot that it shares
 * with tensors of the same shape whose last reader comes before its own writer.
 */

import { checkShapes } from '../network/check.js'
import type { Graph, Parameters, Tensor } from '../network/graph.js'
import {
  type Action,
  foldsOf,
  groupsOf,
  isCopy,
  isTensor,
  type KernelContext,
  type LaidShape,
  operandsOf,
  tensorsOf,
} from './dispatch.js'
import { fusedActions } from './fuse.js'
import { halfTensors } from './half-floats.js'
import { NO_SUBGROUPS, type SubgroupUse } from './subgroups.js'
import { checkLimits, tensorBytes, tensorSize, texelBytes } from './textures.js'
import { checkWeights, type WeightLimits } from './weights.js'

export interface Plan {
  /** Actions of each stage: inputs unpacked, nodes, outputs packed. */
  readonly stages: readonly (readonly Action[])[]
  /** Shapes of the slots. */
  readonly slots: readonly LaidShape[]
  /** Slot of each tensor, scratch ones included. */
  readonly slotOf: ReadonlyMap<Tensor, number>
}

/** What a graph is planned for. */
export interface PlanContext extends Omit<KernelContext, 'scratch' | 'isHalf' | 'halfFloats' | 'subgroups'> {
  /** See {@link KernelContext}; default: no. */
  readonly halfFloats?: boolean
  /** See {@link KernelContext}; default: nothing. */
  readonly subgroups?: SubgroupUse
}

/** What a graph is to fit. */
export interface Fitting extends Pick<PlanContext, 'software' | 'halfFloats' | 'subgroups'> {
  readonly limits: WeightLimits
}

function stageActions(graph: Graph, isHalf: (tensor: Tensor) => boolean, context: PlanContext): Action[][] {
  let id = graph.tensors.length
  const { halfFloats = false, subgroups = NO_SUBGROUPS } = context
  const scratch = (name: string, shape: LaidShape) => ({ id: id++, name, shape })
  const full: KernelContext = { ...context, halfFloats, subgroups, isHalf, scratch }
  for (const { nodes } of graph.stages) for (const node of nodes) checkShapes(node, context.parameters)
  return fusedActions(graph, full).map((actions) =>
    actions.map((action) => forBatch(inFormat(action, isHalf), context.batch)),
  )
}

/** An action that writes half floats, told so: a shader names the format of what it stores. */
function inFormat(action: Action, isHalf: (tensor: Tensor) => boolean): Action {
  const tensors = operandsOf(action).writes.filter(isTensor)
  if (isCopy(action) || !tensors.some(isHalf)) return action
  if (!tensors.every(isHalf)) throw new RangeError(`${action.shader} writes floats and half floats`)
  return { ...action, constants: { ...action.constants, HALF: 1 } }
}

/** A tile's action as that of a batch: see tensor.wgsl. Textures are copied with all the tiles that are in them. */
function forBatch(action: Action, batch: number): Action {
  const cost = batch * action.cost
  if (batch === 1 || isCopy(action)) return { ...action, cost }
  const [x, y, z] = action.invocations
  return { ...action, constants: { ...action.constants, BATCH: batch }, invocations: [x, y, batch * z], cost }
}

/**
 * Plans a graph.
 *
 * @throws CorruptDataError ERR_MODEL_CORRUPT for shapes that don't fit
 * @throws RangeError for a tensor that is read before it is written
 */
export function plan(graph: Graph, context: PlanContext): Plan {
  const halves = context.halfFloats ? halfTensors(graph) : new Set<Tensor>()
  const laid = (tensor: Tensor): LaidShape => (halves.has(tensor) ? { ...tensor.shape, half: true } : tensor.shape)
  const stages = stageActions(graph, (tensor) => laid(tensor).half === true, context)
  const order = stages.flat()
  const lastUse = new Map<Tensor, number>()
  order.forEach((action, i) => {
    const { reads, writes } = operandsOf(action)
    for (const source of [...reads, ...writes]) if (source && isTensor(source)) lastUse.set(source, i)
  })
  const slots: LaidShape[] = []
  const slotOf = new Map<Tensor, number>()
  const free = new Map<string, number[]>()
  // Only tensors of exactly one shape share a slot, as all of them need the same border to have stayed zero.
  const key = (shape: LaidShape) =>
    `${groupsOf(shape.channels)} ${shape.height} ${shape.width} ${foldsOf({ shape })} ${shape.half === true}`
  order.forEach((action, i) => {
    const { reads, writes } = operandsOf(action)
    for (const source of reads) {
      if (source && isTensor(source) && !slotOf.has(source)) {
        const reader = isCopy(action) ? 'a copy' : action.shader
        throw new RangeError(`${reader} reads ${source.name} before anything writes it`)
      }
    }
    for (const target of writes) {
      if (!isTensor(target) || slotOf.has(target)) continue
      const shape = laid(target)
      slotOf.set(target, free.get(key(shape))?.pop() ?? slots.push(shape) - 1)
    }
    for (const tensor of tensorsOf([...reads, ...writes])) {
      if (lastUse.get(tensor) !== i) continue
      const name = key(laid(tensor))
      const list = free.get(name) ?? []
      list.push(slotOf.get(tensor) ?? 0)
      free.set(name, list)
    }
  })
  return { stages, slots, slotOf }
}

/**
 * The first of `batches` with which a graph fits the limits, and its textures into so many bytes; null if none does.
 *
 * @param batches falling
 */
export function fittingBatch(
  graph: Graph,
  parameters: Parameters,
  { limits, ...kind }: Fitting,
  batches: readonly number[],
  bytes: number,
): number | null {
  const maxLayers = limits.maxTextureArrayLayers
  const { slots } = plan(graph, { parameters, ...kind, maxLayers, batch: 1 })
  const fits = (batch: number) => {
    const isWithin = slots.every((shape) => tensorSize(shape, batch).height <= limits.maxTextureDimension2D)
    return isWithin && slots.reduce((sum, shape) => sum + tensorBytes(shape, batch), 0) <= bytes
  }
  return batches.find(fits) ?? null
}

/**
 * Throws ERR_DEVICE_LIMIT if the graph needs a larger texture or buffer than an adapter has: what compiling it would
 * find out, without a device.
 */
export function checkFits(graph: Graph, parameters: Parameters, { software, limits }: Fitting): void {
  const maxLayers = limits.maxTextureArrayLayers
  const { stages, slotOf } = plan(graph, { parameters, software, maxLayers, batch: 1 })
  for (const { name, shape } of slotOf.keys()) checkLimits(name, tensorSize(shape), limits)
  for (const source of stages.flat().flatMap((action) => operandsOf(action).reads)) {
    if (source && 'build' in source) checkWeights(source, limits)
  }
}

/** What a device is handed for a graph. */
export interface GraphWork {
  /** Dispatches, and for a software adapter copies, for a batch of any size. */
  readonly actions: number
  /** Bytes of a tile's tensors that they read and write, a tensor once for each action. */
  readonly bytes: number
}

export function workOf(graph: Graph, parameters: Parameters, { limits, ...kind }: Fitting): GraphWork {
  const { stages, slots, slotOf } = plan(graph, {
    parameters,
    ...kind,
    maxLayers: limits.maxTextureArrayLayers,
    batch: 1,
  })
  const actions = stages.flat()
  const bytesOf = (tensor: Tensor) => texelBytes(slots[slotOf.get(tensor) as number] as LaidShape)
  const bytes = actions.reduce((sum, action) => {
    const { reads, writes } = operandsOf(action)
    return sum + [...tensorsOf([...reads, ...writes])].reduce((own, tensor) => own + bytesOf(tensor), 0)
  }, 0)
  return { actions: actions.length, bytes }
}

/** Cuts a stage into runs of actions that cost up to `budget` each, or a single one beyond it. */
export function split<T extends { readonly cost: number }>(actions: readonly T[], budget: number): T[][] {
  const parts: T[][] = []
  let sum = Number.POSITIVE_INFINITY
  for (const action of actions) {
    if (sum + action.cost > budget) {
      parts.push([])
      sum = 0
    }
    parts.at(-1)?.push(action)
    sum += action.cost
  }
  return parts
}
