/** A bar of a round length, in micrometres, or in pixels for a slide whose resolution nobody knows. */
import { element } from './page.js'
import type { Stage } from './stage.js'
import { formatLength, roundNumber, unitAlongScreen } from './units.js'

const LONGEST = 160

export interface ScaleBar {
  /** CSS pixels. */
  readonly width: number
  readonly text: string
}

/** The bar for what the stage shows now. Pixels that aren't square make it depend on the rotation. */
export function scaleBar(stage: Stage): ScaleBar {
  const { mpp } = stage.slide.facts
  const unitsPerScreenPixel = unitAlongScreen(mpp, stage.rotation()) / stage.zoom()
  const length = roundNumber(LONGEST * unitsPerScreenPixel)
  return { width: length / unitsPerScreenPixel, text: formatLength(length, mpp !== null) }
}

export function drawScaleBar(stage: Stage): void {
  const { width, text } = scaleBar(stage)
  const bar = element('scale')
  bar.hidden = false
  bar.style.width = `${width}px`
  element('scale-text').textContent = text
}
