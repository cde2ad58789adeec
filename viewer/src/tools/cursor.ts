/** Where the pointer is on the slide, in micrometres from its upper left corner, or in pixels. */
import { element } from '../page.js'
import type { Stage } from '../stage.js'

/** Follows the pointer over a stage until that is closed. */
export function followPointer(stage: Stage): void {
  const note = element('cursor')
  const { canvas } = stage.viewer
  const { mpp } = stage.slide.facts
  canvas.addEventListener('pointermove', ({ clientX, clientY }) => {
    const { left, top } = canvas.getBoundingClientRect()
    const { x, y } = stage.toSlide({ x: clientX - left, y: clientY - top })
    note.textContent = mpp
      ? `${(x * mpp.x).toFixed(1)}, ${(y * mpp.y).toFixed(1)} µm`
      : `${Math.floor(x)}, ${Math.floor(y)} px`
  })
  canvas.addEventListener('pointerleave', () => {
    note.textContent = ''
  })
}
