/**
 * Whether a node's tensors and parameters fit it, by the table of ops: so that a model file whose tensors do not fit
 * its configuration, or whose integers could make a backend's 32-bit arithmetic overflow or a look-up leave its table,
 * is refused by the parameter's name before any device sees it.
 */
import { CorruptDataError } from '../errors.js'
import { describe, type Node, type OpName } from './ops/index.js'
import type { ParameterUse } from './ops/op.js'
import { badParameter, type Parameters } from './parameters.js'
import type { Shape } from './tensor.js'

/**
 * Checks the shapes of a node's tensors and parameters, and that its sizes are supported.
 *
 * @returns the parameters that it reads
 * @throws CorruptDataError ERR_MODEL_CORRUPT, naming the node or a parameter
 * @throws UnsupportedError ERR_MODEL_UNSUPPORTED
 */
export function checkShapes(node: Node, parameters: Parameters): readonly ParameterUse[] {
  const description = describe(node)
  for (const [tensor, wanted] of description.shapes) {
    checkShape(description.outputs[0]?.name ?? node.op, tensor.shape, wanted)
  }
  description.checkLimits()
  const uses = description.parameters((name) => parameters.get(name).shape)
  for (const use of uses) checkParameterShape(use, parameters)
  return uses
}

/**
 * Which parameters were found sound for an op, and which lists of them together: a model has millions of weights, and a
 * graph is built for each size of image.
 */
const soundParameters = new WeakMap<Parameters, Map<OpName, Set<string>>>()

function soundFor(op: OpName, parameters: Parameters): Set<string> {
  const byOp = soundParameters.get(parameters) ?? new Map<OpName, Set<string>>()
  soundParameters.set(parameters, byOp)
  const sound = byOp.get(op) ?? new Set()
  byOp.set(op, sound)
  return sound
}

/**
 * Checks all that {@link checkShapes} does, and the values of integer parameters.
 *
 * @throws CorruptDataError ERR_MODEL_CORRUPT, naming the node or a parameter
 * @throws UnsupportedError ERR_MODEL_UNSUPPORTED
 */
export function checkNode(node: Node, parameters: Parameters): void {
  const uses = checkShapes(node, parameters)
  if (uses.length === 0) return
  const sound = soundFor(node.op, parameters)
  const all = uses.map(({ name }) => name).join(' ')
  if (sound.has(all)) return
  for (const use of uses) if (!sound.has(use.name)) checkParameterValues(use, parameters)
  describe(node).prove((name) => parameters.integers(name).data)
  sound.add(all)
  for (const { name } of uses) sound.add(name)
}

/** @throws CorruptDataError ERR_MODEL_CORRUPT, naming the parameter */
export function checkParameterShape({ name, shape, orShape, integers }: ParameterUse, parameters: Parameters): void {
  const given = (integers ? parameters.integers(name) : parameters.get(name)).shape
  if (!isSame(given, shape) && !(orShape && isSame(given, orShape))) throw misfit(name, given, `[${shape.join(', ')}]`)
}

/** @throws CorruptDataError ERR_MODEL_CORRUPT, naming the parameter */
export function checkParameterValues({ name, integers }: ParameterUse, parameters: Parameters): void {
  if (!integers) return
  const { least, most } = integers
  const { data } = parameters.integers(name)
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number
    if (value < least || value > most) throw badParameter(name, `holds ${value}, which is not in ${least}..${most}`)
  }
}

/** @throws CorruptDataError ERR_MODEL_CORRUPT unless what `name` meets has the shape that is needed there */
export function checkShape(name: string, found: Shape, wanted: Shape): void {
  if (found.channels === wanted.channels && found.height === wanted.height && found.width === wanted.width) return
  const text = ({ channels, height, width }: Shape) => `${channels} x ${height} x ${width}`
  throw new CorruptDataError(
    'ERR_MODEL_CORRUPT',
    `The parameters do not fit each other: ${name} meets ${text(found)} where ${text(wanted)} is needed`,
  )
}

export function misfit(name: string, shape: readonly number[], wanted: string): CorruptDataError {
  return badParameter(name, `has shape [${shape.join(', ')}], which does not fit ${wanted}`)
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((length, i) => length === b[i])
}
