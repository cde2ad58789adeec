/** Links to what is seen. */
import test from 'ava'
import fc from 'fast-check'
import { formatPlace, parsePlace } from '../../viewer/src/address.js'

test('a link to a view is its name, its middle, its zoom and its rotation', (t) => {
  const name = 'a b/c@d#e.cleric.tif'
  const link = formatPlace({ name, view: { x: 100, y: 20.26, zoom: 0.5, rotation: 0 } })
  t.is(link, '#a%20b/c%40d%23e.cleric.tif@100,20.3,0.5')
  t.deepEqual(parsePlace(link), { name, view: { x: 100, y: 20.3, zoom: 0.5, rotation: 0 } })
  t.is(formatPlace({ name: 'a', view: { x: -1, y: 0, zoom: 2, rotation: 90 } }), '#a@-1,0,2,90')
  t.is(formatPlace({ name: 'a', view: null }), '#a')
  t.is(parsePlace(''), null)
  t.is(parsePlace('#'), null)
})

test('any name and view come back from their link', (t) => {
  const view = fc.record({
    x: fc.integer({ min: -1e6, max: 1e6 }),
    y: fc.integer({ min: -1e6, max: 1e6 }),
    zoom: fc.integer({ min: 1, max: 8e6 }).map((n) => n / 1e6),
    rotation: fc.integer({ min: 0, max: 35999 }).map((n) => n / 100),
  })
  // Half a surrogate pair is no text that an address could hold.
  const name = fc.string({ minLength: 1, unit: 'grapheme' })
  fc.assert(
    fc.property(fc.record({ name, view: fc.option(view) }), (place) => {
      t.deepEqual(parsePlace(formatPlace(place)), place)
    }),
  )
})

test('what is no place is said to be none', (t) => {
  t.throws(() => parsePlace('#%E0'), { message: /no percent-encoded text/ })
  for (const view of [
    '',
    '1',
    '1,2',
    '1,2,0',
    '1,2,-1',
    '1,2,x',
    '1,2,3,4,5',
    '1e9,2,3',
    'NaN,1,1',
    '1,2,99999999999999',
  ]) {
    t.throws(() => parsePlace(`#a@${view}`), { message: /expected @x,y,zoom/ }, view)
  }
  t.is(parsePlace('#a@1,2,3,-90')?.view?.rotation, 270)
})
