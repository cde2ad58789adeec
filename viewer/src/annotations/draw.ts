/**
 * Drawing with points: each click sets one, as does Space in the middle of the view, so that lines, areas, boxes and points
 * are drawn alike by mouse, finger and keyboard, and the slide can be moved meanwhile. A double-click or Enter finishes.
 */
import type { Position } from 'geojson'
import { button, messageOf, say, tell } from '../page.js'
import type { Stage } from '../stage.js'
import type { Point } from '../units.js'
import { type AnnotationGeometry, newAnnotation, toPoint } from './annotation.js'
import type { Collection } from './collection.js'
import { cornersOf, type Layer, withCorner } from './layer.js'

export const TOOLS = ['line', 'area', 'box', 'point'] as const
export type Tool = (typeof TOOLS)[number]

const FEWEST: Record<Tool, number> = { line: 2, area: 3, box: 2, point: 1 }
/** Those that are done when they have that many points. */
const MOST: Partial<Record<Tool, number>> = { box: 2, point: 1 }

export class Draw {
  readonly #collection: Collection
  #stage: Stage | null = null
  #layer: Layer | null = null
  #tool: Tool | null = null
  #points: Position[] = []
  #pointer: Position | null = null
  #byKeyboard = false

  constructor(collection: Collection) {
    this.#collection = collection
    for (const tool of TOOLS) button(`draw-${tool}`).addEventListener('click', () => this.toggle(tool))
  }

  get isDrawing(): boolean {
    return this.#tool !== null
  }

  attach(stage: Stage, layer: Layer): void {
    this.#stage = stage
    this.#layer = layer
    const { viewer } = stage
    viewer.addHandler('canvas-click', (event) => {
      if (!event.quick) return
      this.#byKeyboard = false
      if (this.#tool) {
        event.preventDefaultAction = true
        this.addPoint(stage.toSlide(event.position))
      } else {
        const { annotation = null } = (event.originalTarget as HTMLElement).dataset
        if (!('corner' in (event.originalTarget as HTMLElement).dataset)) this.#collection.select(annotation)
      }
    })
    viewer.addHandler('canvas-double-click', (event) => {
      // Not larger, then.
      if (this.#tool) event.preventDefaultAction = true
    })
    // The browser's own: OpenSeadragon takes the second click of a fast series for another one's first.
    viewer.canvas.addEventListener('dblclick', () => this.finish())
    viewer.canvas.addEventListener('pointermove', (event) => {
      if (!this.#tool || this.#points.length === 0 || event.pointerType === 'touch') return
      const { left, top } = viewer.canvas.getBoundingClientRect()
      const { x, y } = stage.toSlide({ x: event.clientX - left, y: event.clientY - top })
      this.#pointer = [x, y]
      this.#show()
    })
    this.#letCornersMove(stage, layer)
  }

  detach(): void {
    this.stop()
    this.#stage = null
    this.#layer = null
  }

  toggle(tool: Tool): void {
    const isOn = this.#tool === tool
    this.stop()
    if (isOn || !this.#stage) return
    this.#tool = tool
    button(`draw-${tool}`).setAttribute('aria-pressed', 'true')
    tell(
      `${tool}: click, or press Enter in the middle of the view, to set points; double-click, or press Enter twice there, to finish; Escape to give up`,
    )
  }

  /** Gives up what is being drawn. */
  stop(): void {
    this.#tool = null
    this.#points = []
    this.#pointer = null
    for (const tool of TOOLS) button(`draw-${tool}`).setAttribute('aria-pressed', 'false')
    this.#layer?.draft(null, false)
  }

  /** Sets a point in the middle of the view. */
  addMiddle(): void {
    if (!this.#stage) return
    this.#byKeyboard = true
    this.#pointer = null
    this.addPoint(this.#stage.middle())
  }

  addPoint({ x, y }: Point): void {
    const tool = this.#tool
    if (!tool) return
    const [lastX, lastY] = this.#points.at(-1) ?? []
    // The second click of a double one.
    if (x === lastX && y === lastY) return
    this.#points.push([x, y])
    if (this.#points.length === MOST[tool]) this.finish()
    else this.#show()
  }

  removePoint(): void {
    this.#points.pop()
    this.#show()
  }

  finish(): void {
    const tool = this.#tool
    if (!tool) return
    if (this.#points.length < FEWEST[tool]) {
      tell(`${tool}: at least ${FEWEST[tool]} points are needed`)
      return
    }
    try {
      this.#collection.add([newAnnotation(shape(tool, this.#points))])
    } catch (error) {
      say(`The browser can't keep it: ${messageOf(error)}`)
    }
    this.stop()
  }

  /** Shows the keyboard's mark in the middle of the view while it moves under it. */
  moved(): void {
    if (this.#tool && this.#byKeyboard) this.#show()
  }

  #show(): void {
    const tool = this.#tool
    if (!tool) return
    const points = this.#pointer ? [...this.#points, this.#pointer] : this.#points
    this.#layer?.draft(
      points.length < 2 ? null : shape(tool === 'area' && points.length < 3 ? 'line' : tool, points),
      this.#byKeyboard,
    )
  }

  /** Corners of the selected annotation are dragged, or moved by arrow keys. */
  #letCornersMove(stage: Stage, layer: Layer): void {
    let held: { corner: number; pointer: number } | null = null
    const cornerOf = (event: Event) => (event.target as SVGElement).dataset?.corner
    const move = (corner: number, place: Point) => {
      const { selected } = this.#collection
      if (!selected) return
      const geometry = withCorner(selected.geometry, corner, stage.toSlide(place))
      this.#collection.replace({ ...selected, geometry })
    }
    const { svg } = layer
    svg.addEventListener('pointerdown', (event) => {
      const corner = cornerOf(event)
      if (corner === undefined) return
      // The slide must not move with it.
      event.stopPropagation()
      held = { corner: Number(corner), pointer: event.pointerId }
      svg.setPointerCapture(event.pointerId)
    })
    svg.addEventListener('pointermove', (event) => {
      if (held?.pointer !== event.pointerId) return
      const { left, top } = svg.getBoundingClientRect()
      move(held.corner, { x: event.clientX - left, y: event.clientY - top })
    })
    for (const end of ['pointerup', 'pointercancel'] as const) {
      svg.addEventListener(end, (event) => {
        if (held?.pointer === event.pointerId) event.stopPropagation()
        held = null
      })
    }
    svg.addEventListener('keydown', (event) => {
      const corner = cornerOf(event)
      const { selected } = this.#collection
      const step = ARROWS[event.key]
      if (corner === undefined || !selected || !step) return
      event.preventDefault()
      event.stopPropagation()
      const at = stage.toScreen(toPoint(cornersOf(selected.geometry)[Number(corner)] as Position))
      const far = event.shiftKey ? 10 : 1
      move(Number(corner), { x: at.x + step[0] * far, y: at.y + step[1] * far })
    })
  }
}

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

function shape(tool: Tool, points: readonly Position[]): AnnotationGeometry {
  const [first = [0, 0], second = first] = points
  if (tool === 'point') return { type: 'Point', coordinates: first }
  if (tool === 'line') return { type: 'LineString', coordinates: [...points] }
  const [[left = 0, top = 0], [right = 0, bottom = 0]] = [first, second]
  const corners = tool === 'area' ? points : [first, [right, top], [right, bottom], [left, bottom]]
  return { type: 'Polygon', coordinates: [[...corners, [...(corners[0] as Position)]]] }
}
