/** The buttons that move the view. */
import type { Guest } from '../desk.js'
import { button, element, make } from '../page.js'
import { MAX_ZOOM, type Stage } from '../stage.js'
import { powerOf } from '../units.js'

/** Objectives of microscopes. */
export const POWERS = [2, 5, 10, 20, 40] as const
export const QUARTER = 90

export class Toolbar implements Guest {
  #stage: Stage | null = null
  #native: number | null = null

  constructor() {
    const bar = element('toolbar')
    element('powers').append(
      ...POWERS.map((power) => {
        const made = make('button', { type: 'button', id: `power-${power}` }, `${power}x`)
        made.addEventListener('click', () => this.toPower(power))
        return made
      }),
    )
    button('zoom-out').addEventListener('click', () => this.#stage?.zoomBy(1 / 2))
    button('zoom-in').addEventListener('click', () => this.#stage?.zoomBy(2))
    button('fit').addEventListener('click', () => this.#stage?.fit())
    button('full-size').addEventListener('click', () => this.#stage?.zoomTo(1))
    button('turn-left').addEventListener('click', () => this.#stage?.rotateBy(-QUARTER))
    button('turn-right').addEventListener('click', () => this.#stage?.rotateBy(QUARTER))
    button('full-screen').addEventListener('click', toggleFullScreen)
    document.addEventListener('fullscreenchange', () => {
      button('full-screen').setAttribute('aria-pressed', String(document.fullscreenElement !== null))
    })
    bar.hidden = true
  }

  show(stage: Stage): void {
    this.#stage = stage
    this.#native = powerOf(stage.slide.facts.objectivePower, stage.slide.facts.mpp)
    element('toolbar').hidden = false
    element('powers').hidden = this.#native === null
    // Beyond that the view would stop short of what the button says.
    for (const power of POWERS) button(`power-${power}`).disabled = power > (this.#native ?? 0) * MAX_ZOOM
    stage.onDraw(() => {
      const power = this.#native === null ? '' : ` = ${Number((stage.zoom() * this.#native).toPrecision(2))}x`
      element('zoom').textContent = `${Number((stage.zoom() * 100).toPrecision(2))} %${power}`
    })
  }

  clear(): void {
    this.#stage = null
    element('toolbar').hidden = true
    element('zoom').textContent = ''
  }

  /** The view through an objective of that power, as the slide's pixels are those of the scanner's objective. */
  toPower(power: number): void {
    if (this.#native !== null && power <= this.#native * MAX_ZOOM) this.#stage?.zoomTo(power / this.#native)
  }
}

export function toggleFullScreen(): void {
  // A browser that allows none has no button for it either.
  if (document.fullscreenElement) void document.exitFullscreen()
  else void document.documentElement.requestFullscreen?.().catch(() => {})
}
