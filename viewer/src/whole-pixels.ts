/**
 * Keeps an element that fills its parent on whole pixels, whatever the sizes of text round it come to: a picture at 1:1
 * that lies between pixels is interpolated, and no longer what the slide has.
 */
export function keepOnWholePixels(element: HTMLElement): void {
  const parent = element.parentElement as HTMLElement
  const place = () => {
    const { top, right, bottom, left } = parent.getBoundingClientRect()
    const inset = [Math.ceil(top) - top, right - Math.floor(right), bottom - Math.floor(bottom), Math.ceil(left) - left]
    element.style.inset = inset.map((pixels) => `${pixels}px`).join(' ')
  }
  new ResizeObserver(place).observe(parent)
  place()
}
