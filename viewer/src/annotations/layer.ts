/** Annotations over a stage, in SVG: outlines that keep their width at every zoom, corners to move, what they measure. */
import type { Position } from 'geojson'
import type { Stage } from '../stage.js'
import type { Point } from '../units.js'
import {
  type Annotation,
  type AnnotationGeometry,
  boundsOf,
  colourOf,
  linesOf,
  measure,
  toPoint,
} from './annotation.js'
import type { Collection } from './collection.js'

const SVG = 'http://www.w3.org/2000/svg'
/** Measures of more are in the way. */
const MAX_LABELS = 50
const MAX_CORNERS = 500
const POINT_RADIUS = 5

export class Layer {
  readonly svg = make('svg', { class: 'annotations', 'font-family': 'sans-serif', 'font-size': '13' })
  readonly #shapes = make('g', { 'fill-rule': 'evenodd', 'stroke-width': '2', 'stroke-linejoin': 'round' })
  /** What is drawn in screen coordinates, anew each time. */
  readonly #marks = make('g', {})
  readonly #stage: Stage
  readonly #collection: Collection
  #draft: AnnotationGeometry | null = null
  #hasCross = false

  constructor(stage: Stage, collection: Collection) {
    this.#stage = stage
    this.#collection = collection
    this.svg.append(this.#shapes, this.#marks)
    // Inside the element that OpenSeadragon watches, so that the slide can be moved through them.
    stage.viewer.canvas.append(this.svg)
    stage.onDraw(() => this.place())
    this.update()
  }

  /** What is being drawn, and whether the middle of the view is marked, where the keyboard sets points. */
  draft(geometry: AnnotationGeometry | null, hasCross: boolean): void {
    this.#draft = geometry
    this.#hasCross = hasCross
    this.place()
  }

  /** Draws the annotations as they are by now. */
  update(): void {
    const { all, selected } = this.#collection
    this.#shapes.replaceChildren(
      ...all.map((annotation) => {
        const colour = colourOf(annotation)
        const path = make('path', {
          d: pathOf(annotation.geometry),
          stroke: colour,
          fill: annotation.geometry.type.endsWith('Polygon') ? colour : 'none',
          'fill-opacity': annotation.id === selected?.id ? '0.25' : '0.08',
          'vector-effect': 'non-scaling-stroke',
          'data-annotation': annotation.id,
        })
        if (annotation.id === selected?.id) path.setAttribute('stroke-width', '3')
        if (isPoints(annotation.geometry)) path.setAttribute('stroke-linecap', 'round')
        if (isPoints(annotation.geometry)) path.setAttribute('stroke-width', String(2 * POINT_RADIUS))
        return path
      }),
    )
    this.place()
  }

  /** Puts everything where the view has it now. */
  place(): void {
    const origin = this.#stage.toScreen({ x: 0, y: 0 })
    // Steps of many pixels, for the digits.
    const [right, down] = [this.#stage.toScreen({ x: 1e4, y: 0 }), this.#stage.toScreen({ x: 0, y: 1e4 })]
    const numbers = [right.x - origin.x, right.y - origin.y, down.x - origin.x, down.y - origin.y].map((n) => n / 1e4)
    this.#shapes.setAttribute('transform', `matrix(${[...numbers, origin.x, origin.y].join(' ')})`)
    const { all, selected } = this.#collection
    const labelled = all.length <= MAX_LABELS ? all : all.filter(({ id }) => id === selected?.id)
    const focused = (document.activeElement as SVGElement | null)?.dataset?.corner
    this.#marks.replaceChildren(
      ...labelled.flatMap((annotation) => this.#label(annotation.geometry, annotation.properties.name)),
      ...(selected ? this.#corners(selected) : []),
      ...this.#drawDraft(),
    )
    if (focused !== undefined) this.#marks.querySelector<SVGElement>(`[data-corner="${focused}"]`)?.focus()
  }

  #label(geometry: AnnotationGeometry, name = ''): SVGElement[] {
    const text = [name, measure(geometry, this.#stage.slide.facts.mpp)].filter(Boolean).join(': ')
    if (text === '') return []
    const { left, top, right, bottom } = boundsOf(geometry)
    const { x, y } = this.#stage.toScreen({ x: (left + right) / 2, y: (top + bottom) / 2 })
    const label = make('text', { x: String(x), y: String(y), 'text-anchor': 'middle', fill: '#111' })
    // A rim that keeps it readable on whatever lies below.
    for (const [key, value] of [
      ['stroke', '#fff'],
      ['stroke-width', '4'],
      ['paint-order', 'stroke'],
    ] as const) {
      label.setAttribute(key, value)
    }
    label.textContent = text
    return [label]
  }

  #corners({ geometry, properties }: Annotation): SVGElement[] {
    const corners = cornersOf(geometry)
    if (properties.isLocked === true || corners.length > MAX_CORNERS) return []
    return corners.map((corner, i) => {
      const { x, y } = this.#stage.toScreen(toPoint(corner))
      const attributes = {
        cx: String(x),
        cy: String(y),
        r: '6',
        fill: '#fff',
        stroke: '#111',
        tabindex: '0',
        role: 'button',
      }
      return make('circle', {
        ...attributes,
        'data-corner': String(i),
        'aria-label': `Corner ${i + 1} of ${corners.length}`,
      })
    })
  }

  #drawDraft(): SVGElement[] {
    const marks: SVGElement[] = []
    if (this.#draft) {
      for (const { points, isClosed } of linesOf(this.#draft)) {
        const screen = points.map((point) => this.#stage.toScreen(toPoint(point)))
        const d = screen.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${x} ${y}`).join('') + (isClosed ? 'Z' : '')
        marks.push(make('path', { d, fill: 'none', stroke: '#fff', 'stroke-width': '4' }))
        marks.push(make('path', { d, fill: 'none', stroke: '#b3006b', 'stroke-width': '2', 'stroke-dasharray': '6 3' }))
      }
      marks.push(...this.#label(this.#draft))
    }
    if (this.#hasCross) {
      const { x, y } = this.#stage.toScreen(this.#stage.middle())
      const d = `M${x - 12} ${y}h24M${x} ${y - 12}v24`
      marks.push(
        make('path', { d, stroke: '#fff', 'stroke-width': '4' }),
        make('path', { d, stroke: '#111', 'stroke-width': '2' }),
      )
    }
    return marks
  }
}

function make(tag: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const made = document.createElementNS(SVG, tag) as SVGElement
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  return made
}

function isPoints({ type }: AnnotationGeometry): boolean {
  return type === 'Point' || type === 'MultiPoint'
}

function pathOf(geometry: AnnotationGeometry): string {
  return linesOf(geometry)
    .map(({ points, isClosed }) => {
      const [first, ...others] = points.map(([x, y]) => `${x} ${y}`)
      // A line of no length has round ends: a dot.
      return `M${first}${others.length === 0 ? `L${first}` : others.map((point) => `L${point}`).join('')}${isClosed ? 'Z' : ''}`
    })
    .join('')
}

/** The points that can be moved; GeoJSON repeats the first point of a ring at its end. */
export function cornersOf(geometry: AnnotationGeometry): Position[] {
  return linesOf(geometry).flatMap(({ points, isClosed }) => (isClosed ? points.slice(0, -1) : points))
}

/** The geometry with one of its corners elsewhere. */
export function withCorner(geometry: AnnotationGeometry, index: number, { x, y }: Point): AnnotationGeometry {
  const moved = structuredClone(geometry)
  let at = index
  for (const { points, isClosed } of linesOf(moved)) {
    const count = isClosed ? points.length - 1 : points.length
    const corner = points[at]
    if (at < count && corner) {
      ;[corner[0], corner[1]] = [x, y]
      const last = points.at(-1)
      if (isClosed && at === 0 && last) [last[0], last[1]] = [x, y]
      return moved
    }
    at -= count
  }
  return moved
}
