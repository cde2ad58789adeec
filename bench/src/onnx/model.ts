/** A graph as an ONNX model, for onnxruntime: all stages in one, tensors 1 x C x H x W in float32. */
import type { Graph, Parameters, Tensor } from 'cleric/internal'
import { nameOf, OnnxBuilder } from './builder.js'
import { OnnxNodes } from './nodes.js'

/**
 * The bytes of a model that takes every stage's inputs and gives every stage's outputs, named by {@link nameOf}.
 *
 * Integer tensors hold the same units in floating point. `scaleIndex` gives the scale itself: looking it up in the
 * table is no operation of ONNX.
 */
export function onnxModel(graph: Graph, parameters: Parameters): Uint8Array {
  const builder = new OnnxBuilder()
  const nodes = new OnnxNodes(builder, parameters)
  const outputs = new Set<Tensor>()
  for (const stage of graph.stages) {
    for (const { tensor } of stage.inputs) builder.port('input', nameOf(tensor), tensor)
    for (const node of stage.nodes) nodes.add(node)
    for (const { tensor } of stage.outputs) outputs.add(tensor)
  }
  for (const tensor of outputs) builder.port('output', nameOf(tensor), tensor)
  return builder.finish()
}
