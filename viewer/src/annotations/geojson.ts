/** GeoJSON in and out, in the forms that QuPath writes: a collection, a list of features, or one feature. */
import type { FeatureCollection } from 'geojson'
import { type Annotation, type AnnotationGeometry, type AnnotationProperties, randomId } from './annotation.js'

/** More would make the page sluggish: each is an element of its own. */
const MAX_ANNOTATIONS = 50_000
const MAX_POINTS = 5_000_000
/** How deep the coordinates of each kind of geometry are nested. */
const DEPTHS: Record<AnnotationGeometry['type'], number> = {
  Point: 0,
  MultiPoint: 1,
  LineString: 1,
  MultiLineString: 2,
  Polygon: 2,
  MultiPolygon: 3,
}

export function formatGeoJson(annotations: readonly Annotation[]): string {
  const collection: FeatureCollection = { type: 'FeatureCollection', features: [...annotations] }
  return `${JSON.stringify(collection, null, 2)}\n`
}

/**
 * @returns annotations with the ids that the text has, but for those that it has twice
 * @throws Error that says which feature is wrong, and how; nothing is taken of such a text
 */
export function parseGeoJson(text: string): Annotation[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error('This is no GeoJSON: it is no JSON')
  }
  const features = featuresOf(value)
  if (features.length > MAX_ANNOTATIONS) {
    throw new Error(`There are ${features.length} features; at most ${MAX_ANNOTATIONS} can be shown`)
  }
  const seen = new Set<string>()
  const points = { left: MAX_POINTS }
  return features.map((feature, i) => {
    const annotation = readFeature(feature, `Feature ${i + 1}`, points)
    if (seen.has(annotation.id)) annotation.id = randomId()
    seen.add(annotation.id)
    return annotation
  })
}

function featuresOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value
  const { type, features } = asObject(value)
  if (type === 'FeatureCollection' && Array.isArray(features)) return features
  if (type === 'Feature') return [value]
  throw new Error('This is no GeoJSON of annotations: expected a FeatureCollection, a Feature or a list of them')
}

function readFeature(value: unknown, which: string, points: { left: number }): Annotation {
  const { type, id, geometry, properties, ...rest } = asObject(value)
  if (type !== 'Feature') throw new Error(`${which} is no Feature`)
  const { type: kind, coordinates } = asObject(geometry)
  const depth = DEPTHS[kind as AnnotationGeometry['type']]
  if (typeof kind !== 'string' || !Object.hasOwn(DEPTHS, kind)) {
    throw new Error(`${which}: expected one of ${Object.keys(DEPTHS).join(', ')} for its geometry`)
  }
  if (!areCoordinates(coordinates, depth, points)) throw new Error(`${which}: its coordinates are no ${kind}`)
  return {
    ...rest,
    type: 'Feature',
    id: typeof id === 'string' && id !== '' ? id : randomId(),
    geometry: { type: kind, coordinates } as AnnotationGeometry,
    properties: readProperties(asObject(properties ?? {})),
  }
}

function readProperties(properties: Record<string, unknown>): AnnotationProperties {
  const { name, classification, ...rest } = properties
  const { name: className, color, names } = asObject(classification)
  const known: AnnotationProperties = { objectType: 'annotation', ...rest }
  if (typeof name === 'string') known.name = name
  // QuPath writes the parts of a derived class ("Tumor: Positive") as a list.
  const label = typeof className === 'string' ? className : Array.isArray(names) ? names.join(': ') : null
  if (label !== null) known.classification = { name: label, ...(isColour(color) ? { color } : {}) }
  return known
}

function isColour(value: unknown): value is [number, number, number] {
  return (
    Array.isArray(value) &&
    value.length === 3 &&
    value.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)
  )
}

function areCoordinates(value: unknown, depth: number, points: { left: number }): boolean {
  if (!Array.isArray(value) || value.length === 0) return false
  if (depth > 0) return value.every((part) => areCoordinates(part, depth - 1, points))
  points.left--
  if (points.left < 0) throw new Error(`There are more than ${MAX_POINTS} points`)
  return (
    value.length >= 2 &&
    value.every((part) => typeof part === 'number' && Number.isFinite(part) && Math.abs(part) < 1e9)
  )
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
