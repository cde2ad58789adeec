/** The panel of colours: brightness, contrast, gamma and stains, the same for all that is on the page. */
import type { Guest } from '../desk.js'
import { button, element, messageOf, say } from '../page.js'
import type { Stage } from '../stage.js'
import { type ColourChange, ColourFilter, drawnCanvas } from './colour-filter.js'

const SLIDERS = ['brightness', 'contrast', 'gamma'] as const

export class Colours implements Guest {
  readonly #filters = new Map<Stage, ColourFilter | null>()
  readonly #form = element('colours-form', HTMLFormElement)

  constructor() {
    this.#form.addEventListener('input', () => this.#apply())
    // The values are back only when the event is over.
    this.#form.addEventListener('reset', () => setTimeout(() => this.#apply()))
  }

  show(stage: Stage): void {
    this.#filters.set(stage, null)
    this.#apply()
  }

  /** A second stage has gone, or all. */
  clear(stage?: Stage): void {
    for (const [shown, filter] of this.#filters) {
      if (stage && shown !== stage) continue
      filter?.remove()
      this.#filters.delete(shown)
    }
  }

  reset(): void {
    this.#form.reset()
  }

  /** What a stage shows, as it is now: with other colours, if any. */
  canvasOf(stage: Stage): HTMLCanvasElement {
    const filter = this.#filters.get(stage)
    if (!filter) return drawnCanvas(stage)
    filter.draw()
    return filter.canvas
  }

  #change(): ColourChange {
    const data = new FormData(this.#form)
    const number = (name: string) => Number(data.get(name))
    return {
      brightness: number('brightness') / 100,
      contrast: number('contrast') / 100,
      gamma: number('gamma') / 100,
      stain: number('stain'),
    }
  }

  #apply(): void {
    const change = this.#change()
    for (const name of SLIDERS) element(`${name}-value`).textContent = change[name].toFixed(2)
    const isPlain = change.brightness === 0 && change.contrast === 1 && change.gamma === 1 && change.stain < 0
    button('colours-button').classList.toggle('changed', !isPlain)
    for (const [stage, filter] of this.#filters) {
      if (isPlain) {
        filter?.remove()
        this.#filters.set(stage, null)
        continue
      }
      try {
        const used = filter ?? new ColourFilter(stage)
        this.#filters.set(stage, used)
        used.set(change)
      } catch (error) {
        say(messageOf(error))
      }
    }
  }
}
