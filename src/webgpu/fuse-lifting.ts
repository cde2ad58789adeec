/**
 * The lifting as its steps alone: what splits, scales and takes channels on the way to a step is where and how the step
 * reads; what merges or scales its result is where it writes. Steps alike of low and of high rows are made at once.
 */
import type {
  LiftMergeNode,
  LiftSplitNode,
  LiftStepNode,
  Node,
  Port,
  ScaleNode,
  SliceNode,
  Tensor,
} from '../network/graph.js'
import { areAlike, type Place, type PlacedStep, wholeLiftSteps, wholeOf } from './kernels/lifting.js'
import type { Group, Uses } from './uses.js'

/** What a step reads through. */
type Passage = ScaleNode | SliceNode | LiftSplitNode

export function liftGroups(nodes: readonly Node[], uses: Uses): Group[] {
  const steps = nodes.filter((node): node is LiftStepNode => node.op === 'liftStep')
  if (steps.length === 0) return []
  const lifting = new Lifting(nodes, uses)
  const placed = steps.map((step) => lifting.placed(step))
  const groups = pairsOf(placed, nodes, uses).map(
    (pair): Group => ({
      members: pair.flatMap(({ members }) => members),
      actions: (context) => [wholeLiftSteps(pair, context)],
    }),
  )
  return [...groups, { members: nodes.filter((node) => lifting.isPassage(node)), actions: () => [] }]
}

/** A step with what it does in passing. */
interface FusedStep extends PlacedStep {
  readonly members: readonly Node[]
}

/** Each step by itself, or with a later one that is alike and whose sources are there when the first begins. */
function pairsOf(steps: readonly FusedStep[], nodes: readonly Node[], uses: Uses): FusedStep[][] {
  /** When each node is computed at the latest: as the node of this number was. */
  const times = new Map<Node | Port, number>(nodes.map((node, i) => [node, i]))
  const paired = new Set<FusedStep>()
  return steps.flatMap((step, i): FusedStep[][] => {
    if (paired.has(step)) return []
    const now = times.get(step.node) ?? 0
    const isThere = ({ tensor }: Place) => {
      const maker = uses.makerOf(tensor)
      return !maker || (times.get(maker) ?? -1) < now
    }
    const other = steps
      .slice(i + 1)
      .find(
        (each) => !paired.has(each) && areAlike(step, each) && isThere(each.places.source) && isThere(each.places.base),
      )
    if (!other) return [[step]]
    paired.add(other)
    times.set(other.node, now)
    return [[step, other]]
  })
}

class Lifting {
  readonly #nodes: ReadonlySet<Node>
  readonly #uses: Uses

  constructor(nodes: readonly Node[], uses: Uses) {
    this.#nodes = new Set(nodes)
    this.#uses = uses
  }

  /** Whether only steps read what a node makes, perhaps by way of other passages. */
  isPassage(node: Node): node is Passage {
    if (node.op !== 'scale' && node.op !== 'slice' && node.op !== 'liftSplit') return false
    const outputs = node.op === 'liftSplit' ? [node.even, node.odd] : [node.output]
    return outputs.every((tensor) => {
      const readers = this.#uses.readersOf(tensor)
      return readers.length > 0 && readers.every((reader) => this.#isPassageOrStep(reader as Node))
    })
  }

  #isPassageOrStep(reader: Node): boolean {
    return this.#nodes.has(reader) && (reader.op === 'liftStep' || this.isPassage(reader))
  }

  placed(step: LiftStepNode): FusedStep {
    const { output } = step
    const readers = this.#uses.readersOf(output)
    const isWriter = (use: (typeof readers)[number]): use is LiftMergeNode | ScaleNode =>
      'op' in use && (use.op === 'liftMerge' ? this.#isWritten(use) : use.op === 'scale' && this.#isScaled(use))
    const writer = readers.find(isWriter) ?? null
    const written = writer && placeWritten(writer, output)
    const isAlone = writer !== null && readers.length === 1
    const places = {
      source: this.#placeOf(step.source),
      base: this.#placeOf(step.target),
      output: isAlone && written ? written : wholeOf(output),
      also: isAlone ? null : written,
    }
    return {
      members: writer ? [step, writer] : [step],
      node: step,
      places,
    }
  }

  /** Whether both halves of a merge are steps' results, which are then written where they belong. */
  #isWritten(merge: LiftMergeNode): boolean {
    return [merge.even, merge.odd].every((half) => {
      const maker = this.#uses.makerOf(half)
      const merges = this.#uses.readersOf(half).filter((use) => 'op' in use && use.op === 'liftMerge')
      return (
        maker !== undefined && 'op' in maker && maker.op === 'liftStep' && this.#nodes.has(maker) && merges.length === 1
      )
    })
  }

  #isScaled(scale: ScaleNode): boolean {
    const others = this.#uses
      .readersOf(scale.input)
      .filter((use) => 'op' in use && (use.op === 'scale' || use.op === 'liftMerge'))
    return this.#nodes.has(scale) && !this.isPassage(scale) && others.length === 1
  }

  /** Where a step finds what it reads. */
  #placeOf(tensor: Tensor): Place {
    const maker = this.#uses.makerOf(tensor)
    if (!maker || !('op' in maker) || !this.#nodes.has(maker) || !this.isPassage(maker)) return wholeOf(tensor)
    const place = this.#placeOf(maker.input)
    switch (maker.op) {
      case 'scale':
        return { ...place, scale: place.scale * maker.factor }
      case 'slice':
        return { ...place, first: place.first + maker.first }
      case 'liftSplit': {
        const odd = tensor === maker.odd ? 1 : 0
        if (maker.axis === 'rows') return { ...place, stepY: 2 * place.stepY, y: place.y + odd * place.stepY }
        return { ...place, stepX: 2 * place.stepX, x: place.x + odd * place.stepX }
      }
    }
  }
}

/** Where a step writes its result for the node that would have read it. */
function placeWritten(writer: LiftMergeNode | ScaleNode, result: Tensor): Place {
  const whole = wholeOf(writer.output)
  if (writer.op === 'scale') return { ...whole, scale: writer.factor }
  const odd = result === writer.odd ? 1 : 0
  return writer.axis === 'rows' ? { ...whole, stepY: 2, y: odd } : { ...whole, stepX: 2, x: odd }
}
