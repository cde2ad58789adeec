/** What is seen, as a PNG: the slides in their colours, annotations, and the scale bar. */
import type { Annotations } from '../annotations/guest.js'
import type { Colours } from '../colours/guest.js'
import type { Compare } from '../compare/guest.js'
import { element } from '../page.js'
import { scaleBar } from '../scale-bar.js'
import type { Stage } from '../stage.js'

export interface Seen {
  readonly stage: Stage
  readonly annotations: Annotations
  readonly colours: Colours
  readonly compare: Compare
}

/** @throws Error if the browser makes no picture of it */
export async function screenshot({ stage, annotations, colours, compare }: Seen): Promise<Blob> {
  const area = element('stages').getBoundingClientRect()
  const scale = devicePixelRatio
  const canvas = new OffscreenCanvas(Math.round(area.width * scale), Math.round(area.height * scale))
  const context = canvas.getContext('2d')
  if (!context) throw new Error('the browser draws no pictures')
  context.fillStyle = getComputedStyle(element('stages')).backgroundColor
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.scale(scale, scale)
  const drawings = annotations.svg ? await pictureOf(annotations.svg) : null
  // The canvases keep what they show only until the browser shows the page anew, so no waiting from here on.
  draw(stage, 0)
  if (compare.second) draw(compare.second, compare.layout === 'line' ? compare.line : 0)
  if (drawings) {
    const { left, top, width, height } = stage.viewer.canvas.getBoundingClientRect()
    context.drawImage(drawings, left - area.left, top - area.top, width, height)
  }
  drawBar()
  return canvas.convertToBlob({ type: 'image/png' })

  function draw(shown: Stage, from: number): void {
    const { left, top, width, height } = shown.viewer.canvas.getBoundingClientRect()
    context?.save()
    context?.beginPath()
    context?.rect(left - area.left + from * width, top - area.top, (1 - from) * width, height)
    context?.clip()
    // Where the one above shows nothing, nothing of the one below is seen.
    context?.fillRect(0, 0, area.width, area.height)
    context?.drawImage(colours.canvasOf(shown), left - area.left, top - area.top, width, height)
    for (const layer of shown.viewer.canvas.querySelectorAll<HTMLCanvasElement>('canvas.tile-colours:not([hidden])')) {
      context?.drawImage(layer, left - area.left, top - area.top, width, height)
    }
    context?.restore()
  }

  function drawBar(): void {
    if (!context) return
    const { width, text } = scaleBar(stage)
    const [left, bottom] = [16, area.height - 16]
    context.fillStyle = 'rgb(255 255 255 / 80%)'
    context.fillRect(left, bottom - 24, width, 24)
    context.fillStyle = '#222'
    context.fillRect(left, bottom - 3, width, 3)
    context.font = '14px sans-serif'
    context.textAlign = 'center'
    context.fillText(text, left + width / 2, bottom - 8)
  }
}

async function pictureOf(svg: SVGElement): Promise<HTMLImageElement> {
  const { width, height } = svg.getBoundingClientRect()
  const copy = svg.cloneNode(true) as SVGElement
  copy.setAttribute('width', String(width))
  copy.setAttribute('height', String(height))
  // Corners are there to be taken hold of, not to be seen in a picture.
  for (const corner of copy.querySelectorAll('[data-corner]')) corner.remove()
  const text = new XMLSerializer().serializeToString(copy)
  const image = new Image()
  image.src = `data:image/svg+xml,${encodeURIComponent(text)}`
  await image.decode()
  return image
}
