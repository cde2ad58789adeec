import type { Port } from '../../network/graph.js'
import { type Dispatch, type PortBuffer, texelDispatch, texelGrid } from '../dispatch.js'

/** Elements of a port's host array. */
export function portElements({ tensor }: Port): number {
  const { channels, height, width } = tensor.shape
  return channels * height * width
}

/** The buffer behind a port, whole words. */
export function portBuffer(port: Port): PortBuffer {
  const size = { float: 4, int16: 2, rgb8: 1 }[port.format]
  return { port, bytes: 4 * Math.ceil((portElements(port) * size) / 4) }
}

function checkRgb({ tensor, format }: Port): void {
  if (format === 'rgb8' && tensor.shape.channels !== 3) {
    throw new RangeError(`Expected 3 channels for ${tensor.name} but received ${tensor.shape.channels}`)
  }
}

/** Host data to a tensor. */
export function unpack(port: Port): Dispatch {
  checkRgb(port)
  return texelDispatch({
    shader: { float: 'unpack_float', int16: 'unpack_int16', rgb8: 'unpack_rgb8' }[port.format],
    reads: { data: portBuffer(port) },
    output: port.tensor,
    params: port.format === 'rgb8' ? {} : { channels: port.tensor.shape.channels },
    cost: 128,
  })
}

/** A tensor to host data. */
export function pack(port: Port): Dispatch {
  checkRgb(port)
  const { tensor, format } = port
  const { channels, height, width } = tensor.shape
  const elements = portElements(port)
  const common = { constants: {}, reads: { source: tensor }, writes: { data: portBuffer(port) }, cost: 128 * elements }
  if (format === 'float') {
    return {
      ...common,
      shader: 'pack_float',
      params: { width, height, channels },
      invocations: texelGrid(tensor),
    }
  }
  if (format === 'int16') {
    return {
      ...common,
      shader: 'pack_int16',
      params: { width, height, elements },
      invocations: [Math.ceil(elements / 2), 1, 1],
    }
  }
  return { ...common, shader: 'pack_rgb8', params: { width, height }, invocations: [Math.ceil(elements / 4), 1, 1] }
}
