/**
 * What happens to latents on their way from layer to layer: y_hat put together and scaled, factors taken from where the
 * host has put them, z as activations.
 */
import type { GainNode, Node, Port, RequantiseNode, Stage } from '../network/graph.js'
import { joinScaled, MOST_SCALED } from './kernels/channels.js'
import { gainOfHost, roundedActivations } from './kernels/elementwise.js'
import { portBuffer, unpackActivations } from './kernels/ports.js'
import { type Group, isOp, type Uses } from './uses.js'

export function latentGroups(stage: Stage, uses: Uses): Group[] {
  return stage.nodes.flatMap((node) => {
    if (node.op === 'gain') return scaledLatent(node, stage, uses) ?? gainByPort(node, stage, uses) ?? []
    if (node.op === 'requantise') {
      return activationsOfPort(node, stage, uses) ?? activationsOfRounded(node, stage, uses) ?? []
    }
    return []
  })
}

/** The port of factors of whole layers that the host gives for one node alone. */
function factorsPort({ factors }: GainNode, { inputs }: Stage, uses: Uses): Port | null {
  const port = inputs.find(({ tensor, format }) => tensor === factors && format === 'float')
  return port && factors.shape.channels % 4 === 0 && uses.readersOf(factors).length === 1 ? port : null
}

function gainByPort(node: GainNode, stage: Stage, uses: Uses): Group | null {
  const port = factorsPort(node, stage, uses)
  return port && { members: [port, node], actions: () => [gainOfHost(node, portBuffer(port))] }
}

/** Slices after each other, times a factor and those of the host. */
function scaledLatent(gain: GainNode, stage: Stage, uses: Uses): Group | null {
  const port = factorsPort(gain, stage, uses)
  const scale = uses.onlyReader(gain.input, 'gain') && uses.madeBy(gain.input, 'scale')
  const concat = scale && uses.onlyReader(scale.input, 'scale') && uses.madeBy(scale.input, 'concat')
  if (!port || !scale || !concat || concat.inputs.length > MOST_SCALED) return null
  const members: Node[] = [concat, scale, gain]
  const isWhole = concat.inputs.every(({ shape }) => shape.channels % 4 === 0)
  if (!isWhole || !members.every((node) => stage.nodes.includes(node))) return null
  const action = joinScaled(concat.inputs, gain.output, scale.factor, portBuffer(port))
  return { members: [port, ...members], actions: () => [action] }
}

/** Activations of what the host gives, if nobody reads it otherwise. */
function activationsOfPort(node: RequantiseNode, { inputs }: Stage, uses: Uses): Group | null {
  const port = inputs.find(({ tensor, format }) => tensor === node.input && format === 'int16')
  if (!port || uses.readersOf(node.input).length > 1) return null
  return { members: [port, node], actions: (context) => [unpackActivations(port, node, context)] }
}

/** What is rounded, and its activations. */
function activationsOfRounded(node: RequantiseNode, stage: Stage, uses: Uses): Group | null {
  const round = uses.madeBy(node.input, 'round')
  if (!round || !stage.nodes.includes(round)) return null
  const first = uses.readersOf(round.output).find((use) => isOp(use, 'requantise'))
  if (first !== node) return null
  return { members: [round, node], actions: (context) => [roundedActivations(round, node, context)] }
}
