/** Annotations of the slide on the page: the layer, the drawing and the list, of one collection. */
import type { Guest } from '../desk.js'
import { messageOf, say } from '../page.js'
import type { Stage } from '../stage.js'
import { Collection } from './collection.js'
import { Draw } from './draw.js'
import { Layer } from './layer.js'
import { AnnotationPanel } from './panel.js'

export class Annotations implements Guest {
  readonly collection = new Collection()
  readonly draw = new Draw(this.collection)
  readonly #panel = new AnnotationPanel(this.collection)
  #layer: Layer | null = null

  constructor() {
    this.collection.onChange(() => {
      this.#layer?.update()
      this.#panel.update()
    })
  }

  /** The drawn annotations, for a picture of the view. */
  get svg(): SVGElement | null {
    return this.#layer?.svg ?? null
  }

  show(stage: Stage): void {
    this.#panel.attach(stage)
    try {
      this.collection.open(stage.slide.facts.name)
    } catch (error) {
      say(`The annotations that the browser keeps can't be read: ${messageOf(error)}`)
    }
    this.#layer = new Layer(stage, this.collection)
    this.draw.attach(stage, this.#layer)
    stage.onDraw(() => this.draw.moved())
  }

  clear(): void {
    this.draw.detach()
    this.#layer = null
    this.collection.open(null)
    this.#panel.attach(null)
  }

  /** Deletes what is selected. */
  removeSelected(): void {
    const { selected } = this.collection
    if (selected) this.collection.remove(selected.id)
  }
}
