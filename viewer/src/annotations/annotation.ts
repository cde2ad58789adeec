/**
 * Annotations as QuPath keeps them: GeoJSON features whose coordinates are pixels of level 0, with a name, a
 * classification with a colour, and whatever else another program put there, which stays.
 */
import type { Feature, Geometry, Position } from 'geojson'
import type { Resolution } from '../slide.js'
import { areaOf, formatArea, formatLength, lengthOf, type Point } from '../units.js'

export type AnnotationGeometry = Exclude<Geometry, { type: 'GeometryCollection' }>

export interface Annotation extends Feature<AnnotationGeometry, AnnotationProperties> {
  id: string
}

export type AnnotationProperties = Record<string, unknown> & {
  name?: string
  classification?: Classification
}

export interface Classification {
  name: string
  /** Red, green, blue, from 0 to 255. */
  color?: [number, number, number]
}

/** QuPath's classes of a new project, in its colours. */
export const CLASSES: readonly Classification[] = [
  { name: 'Tumor', color: [200, 0, 0] },
  { name: 'Stroma', color: [150, 200, 150] },
  { name: 'Immune cells', color: [160, 90, 160] },
  { name: 'Necrosis', color: [50, 50, 50] },
  { name: 'Other', color: [255, 200, 0] },
  { name: 'Region*', color: [0, 0, 180] },
  { name: 'Ignore*', color: [180, 180, 180] },
]

/** What QuPath draws without a class. */
const UNCLASSIFIED: [number, number, number] = [255, 0, 0]

export function newAnnotation(geometry: AnnotationGeometry): Annotation {
  return { type: 'Feature', id: randomId(), geometry, properties: { objectType: 'annotation' } }
}

/** A version 4 UUID; crypto.randomUUID is only there for pages that come by https or from the machine itself. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

export function colourOf({ properties: { classification } }: Annotation): string {
  return `rgb(${(classification?.color ?? UNCLASSIFIED).join(' ')})`
}

/** The lines that an annotation is drawn with, closed where they go round an area. */
export function linesOf(geometry: AnnotationGeometry): { readonly points: Position[]; readonly isClosed: boolean }[] {
  switch (geometry.type) {
    case 'Point':
      return [{ points: [geometry.coordinates], isClosed: false }]
    case 'MultiPoint':
      return geometry.coordinates.map((point) => ({ points: [point], isClosed: false }))
    case 'LineString':
      return [{ points: geometry.coordinates, isClosed: false }]
    case 'MultiLineString':
      return geometry.coordinates.map((points) => ({ points, isClosed: false }))
    case 'Polygon':
      return geometry.coordinates.map((points) => ({ points, isClosed: true }))
    case 'MultiPolygon':
      return geometry.coordinates.flat().map((points) => ({ points, isClosed: true }))
  }
}

/** Left, top, right and bottom, in pixels of level 0. */
export function boundsOf(geometry: AnnotationGeometry): { left: number; top: number; right: number; bottom: number } {
  const bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity }
  for (const { points } of linesOf(geometry)) {
    for (const [x = 0, y = 0] of points) {
      bounds.left = Math.min(bounds.left, x)
      bounds.top = Math.min(bounds.top, y)
      bounds.right = Math.max(bounds.right, x)
      bounds.bottom = Math.max(bounds.bottom, y)
    }
  }
  return bounds
}

/** "1.23 mm", or "0.5 mm², perimeter 3 mm"; "" for points. */
export function measure(geometry: AnnotationGeometry, mpp: Resolution | null): string {
  const lines = linesOf(geometry)
  const isMetric = mpp !== null
  const sum = (part: (points: Point[]) => number) =>
    lines.reduce((total, { points }) => total + part(points.map(toPoint)), 0)
  const length = sum((points) => lengthOf(points, mpp))
  if (geometry.type === 'Polygon' || geometry.type === 'MultiPolygon') {
    const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates
    const area = polygons.reduce((total, rings) => total + areaWithHoles(rings, mpp), 0)
    return `${formatArea(area, isMetric)}, perimeter ${formatLength(length, isMetric)}`
  }
  return length > 0 ? formatLength(length, isMetric) : ''
}

function areaWithHoles([outer = [], ...holes]: Position[][], mpp: Resolution | null): number {
  const area = (ring: Position[]) => areaOf(ring.map(toPoint), mpp)
  return holes.reduce((rest, hole) => rest - area(hole), area(outer))
}

export function toPoint([x = 0, y = 0]: Position): Point {
  return { x, y }
}
