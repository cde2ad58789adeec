/** Annotations in and out, as QuPath writes and reads them. */
import test from 'ava'
import { type Annotation, boundsOf, colourOf, measure, newAnnotation } from '../../viewer/src/annotations/annotation.js'
import { formatGeoJson, parseGeoJson } from '../../viewer/src/annotations/geojson.js'
import { withCorner } from '../../viewer/src/annotations/layer.js'

const RING = [
  [0, 0],
  [100, 0],
  [100, 50],
  [0, 50],
  [0, 0],
]
const HOLE = [
  [10, 10],
  [20, 10],
  [20, 20],
  [10, 20],
  [10, 10],
]
/** As QuPath 0.5 exports it. */
const QUPATH = {
  type: 'FeatureCollection',
  features: [
    {
      type: 'Feature',
      id: '0c4e3ba9-7e24-4b6c-9c2c-f66d3a3b7f10',
      geometry: { type: 'Polygon', coordinates: [RING, HOLE] },
      properties: {
        objectType: 'annotation',
        classification: { name: 'Tumor', color: [200, 0, 0] },
        isLocked: true,
        measurements: { 'Num Detections': 7 },
      },
    },
    {
      type: 'Feature',
      id: '1c4e3ba9-7e24-4b6c-9c2c-f66d3a3b7f11',
      geometry: {
        type: 'LineString',
        coordinates: [
          [0, 0],
          [30, 40],
        ],
        isEllipse: false,
      },
      properties: { objectType: 'annotation', name: 'depth' },
    },
  ],
}

test('what QuPath wrote comes back whole', (t) => {
  const read = parseGeoJson(JSON.stringify(QUPATH))
  const [first, second] = read as [Annotation, Annotation]
  t.is(colourOf(first), 'rgb(200 0 0)')
  t.is(measure(first.geometry, { x: 0.5, y: 0.5 }), '1,225 µm², perimeter 170 µm')
  t.is(measure(first.geometry, null), '4,900 px², perimeter 340 px')
  t.is(measure(second.geometry, { x: 1, y: 2 }), `${Number(Math.hypot(30, 80).toPrecision(3))} µm`)
  const written = JSON.parse(formatGeoJson(read))
  t.deepEqual(written.features[0], QUPATH.features[0])
  t.deepEqual(written.features[1].properties, QUPATH.features[1]?.properties)
  t.deepEqual(parseGeoJson(JSON.stringify(QUPATH.features)), read)
  t.is(parseGeoJson(JSON.stringify(QUPATH.features[0])).length, 1)
})

test('annotations without ids, or with the same one, get their own; derived classes have their parts', (t) => {
  const point = { type: 'Feature', geometry: { type: 'Point', coordinates: [1, 2] }, properties: null }
  const names = { ...point, id: 'x', properties: { classification: { names: ['Tumor', 'Positive'] } } }
  const read = parseGeoJson(JSON.stringify([point, point, names, names]))
  t.is(new Set(read.map(({ id }) => id)).size, 4)
  t.regex(read[0]?.id as string, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.is(read[2]?.properties.classification?.name, 'Tumor: Positive')
})

test('what is no GeoJSON of annotations says so, and where', (t) => {
  const feature = (geometry: unknown) => JSON.stringify([QUPATH.features[0], { type: 'Feature', geometry }])
  for (const [text, message] of [
    ['{', /it is no JSON/],
    ['5', /expected a FeatureCollection/],
    ['{"type":"FeatureCollection"}', /expected a FeatureCollection/],
    ['[null]', /Feature 1 is no Feature/],
    [feature(null), /Feature 2: expected one of Point/],
    [feature({ type: 'GeometryCollection', geometries: [] }), /Feature 2: expected one of Point/],
    [feature({ type: 'toString', coordinates: [] }), /Feature 2: expected one of Point/],
    [feature({ type: 'Point', coordinates: ['1', 2] }), /Feature 2: its coordinates are no Point/],
    [feature({ type: 'Point', coordinates: [1e12, 2] }), /no Point/],
    [feature({ type: 'Polygon', coordinates: [[1, 2]] }), /no Polygon/],
    [feature({ type: 'LineString', coordinates: [] }), /no LineString/],
  ] as const) {
    t.throws(() => parseGeoJson(text), { message }, text)
  }
  const many = JSON.stringify(Array(50_001).fill({ type: 'Feature', geometry: { type: 'Point', coordinates: [0, 0] } }))
  t.throws(() => parseGeoJson(many), { message: /at most 50000/ })
})

test('the first corner of a ring is its last too', (t) => {
  const { geometry } = newAnnotation({ type: 'Polygon', coordinates: [RING, HOLE] })
  const moved = withCorner(geometry, 0, { x: -5, y: -6 })
  t.deepEqual(moved.type === 'Polygon' && moved.coordinates[0], [
    [-5, -6],
    [100, 0],
    [100, 50],
    [0, 50],
    [-5, -6],
  ])
  t.deepEqual(boundsOf(moved), { left: -5, top: -6, right: 100, bottom: 50 })
  const inner = withCorner(geometry, 5, { x: 12, y: 13 })
  t.deepEqual(inner.type === 'Polygon' && inner.coordinates[1]?.[1], [12, 13])
  t.deepEqual(geometry.type === 'Polygon' && geometry.coordinates[0], RING)
})
