/** Smaller images: values worked out by hand, and the quick way against the general one. */
import test from 'ava'
import fc from 'fast-check'
import type { Image } from '../../src/image/image.js'
import { halve, shrink } from '../../src/image/shrink.js'

const grey = (width: number, ...values: readonly number[]): Image => ({
  data: Uint8Array.from(values.flatMap((value) => [value, value, value])),
  width,
  height: values.length / width,
  channels: 3,
})

test('halving takes the mean of 2 x 2, rounded to nearest, and of what there is at an odd edge', (t) => {
  // 0, 1, 1, 0 is 0.5, which rounds up; 7, 8 is 7.5; 3, 4 is 3.5.
  t.deepEqual(halve(grey(3, 0, 1, 7, 1, 0, 8, 3, 4, 255)), grey(2, 1, 8, 4, 255))
  t.deepEqual(halve(grey(1, 9)), grey(1, 9))
})

test('halving is shrinking by 2, whatever the size', (t) => {
  const image = fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
    .chain(([width, height]) =>
      fc
        .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
        .map((data): Image => ({ data, width, height, channels: 3 })),
    )
  fc.assert(fc.property(image, (each) => t.deepEqual(halve(each), shrink(each, 2))))
})
