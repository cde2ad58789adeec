import type { Port, RequantiseNode } from '../../network/graph.js'
import { ARRAY_OF, portElements } from '../../network/ports.js'
import { type Dispatch, type KernelContext, type PortBuffer, texelDispatch, texelGrid } from '../dispatch.js'
import { activationShift } from './elementwise.js'

/** The buffer behind a port, whole words. */
export function portBuffer(port: Port): PortBuffer {
  const bytes = portElements(port) * ARRAY_OF[port.format].BYTES_PER_ELEMENT
  return { port, bytes: 4 * Math.ceil(bytes / 4) }
}

/** How the shaders number the orders of int16 values. */
const ORDERS = { int16: 0, anchors: 1, nonAnchors: 2, halves: 3 } as const

function checkRgb({ tensor, format }: Port): void {
  if (format === 'rgb8' && tensor.shape.channels !== 3) {
    throw new RangeError(`Expected 3 channels for ${tensor.name} but received ${tensor.shape.channels}`)
  }
}

/** Host data to a tensor. */
export function unpack(port: Port): Dispatch {
  checkRgb(port)
  const { tensor: output, format } = port
  const common = { reads: { data: portBuffer(port) }, output, cost: 128 }
  if (format === 'rgb8') return texelDispatch({ ...common, shader: 'unpack_rgb8' })
  const params = { channels: output.shape.channels }
  if (format === 'float') return texelDispatch({ ...common, shader: 'unpack_float', params })
  return texelDispatch({ ...common, shader: 'unpack_int16', constants: { ORDER: ORDERS[format] }, params })
}

/** Host int16 to its activations alone. */
export function unpackActivations(port: Port, requantise: RequantiseNode, { parameters }: KernelContext): Dispatch {
  const dispatch = unpack(port)
  return {
    ...dispatch,
    constants: { ...dispatch.constants, ACTIVATION: 1 },
    writes: { output: requantise.output },
    params: { ...dispatch.params, activationShift: activationShift(requantise, parameters) },
  }
}

/** A tensor to host data. */
export function pack(port: Port): Dispatch {
  checkRgb(port)
  const { tensor, format } = port
  const { channels, height, width } = tensor.shape
  const elements = portElements(port)
  const common = { reads: { source: tensor }, writes: { data: portBuffer(port) }, cost: 128 * elements }
  if (format === 'float') {
    return {
      ...common,
      shader: 'pack_float',
      constants: {},
      params: { width, height, channels },
      invocations: texelGrid(tensor),
    }
  }
  if (format === 'rgb8') {
    const invocations = [Math.ceil(elements / 4), 1, 1] as const
    return { ...common, shader: 'pack_rgb8', constants: {}, params: { width, height }, invocations }
  }
  return {
    ...common,
    shader: 'pack_int16',
    constants: { ORDER: ORDERS[format] },
    params: { width, height, channels, elements },
    invocations: [Math.ceil(elements / 2), 1, 1],
  }
}
