/** The list of annotations: what they are called, what they measure, and GeoJSON in and out. */
import { button, download, element, make, messageOf, say, tell } from '../page.js'
import type { Stage } from '../stage.js'
import { type Annotation, boundsOf, CLASSES, colourOf, measure } from './annotation.js'
import type { Collection } from './collection.js'
import { formatGeoJson, parseGeoJson } from './geojson.js'

/** Longer lists are no help, and slow. */
const MAX_LISTED = 200
const MAX_BYTES = 2 ** 28

export class AnnotationPanel {
  readonly #collection: Collection
  #stage: Stage | null = null

  constructor(collection: Collection) {
    this.#collection = collection
    const file = element('annotations-file', HTMLInputElement)
    button('annotations-import').addEventListener('click', () => file.click())
    file.addEventListener('change', () => {
      const [chosen] = file.files ?? []
      file.value = ''
      if (chosen)
        this.#import(chosen).catch((error: unknown) => say(`${chosen.name} can't be read: ${messageOf(error)}`))
    })
    button('annotations-export').addEventListener('click', () => this.#export())
    element('annotation-classes').append(...CLASSES.map(({ name }) => make('option', { value: name })))
  }

  attach(stage: Stage | null): void {
    this.#stage = stage
    this.update()
  }

  update(): void {
    const { all, selected } = this.#collection
    const list = element('annotations-list')
    const focused = document.activeElement?.id
    const listed = all.slice(-MAX_LISTED).reverse()
    list.replaceChildren(...listed.map((annotation) => this.#item(annotation, annotation.id === selected?.id)))
    const more = all.length > listed.length ? `; the last ${listed.length} are listed` : ''
    element('annotations-count').textContent = `${all.length} on this slide${more}`
    button('annotations-export').disabled = all.length === 0
    if (focused) document.getElementById(focused)?.focus()
  }

  #item(annotation: Annotation, isSelected: boolean): HTMLLIElement {
    const { id, properties, geometry } = annotation
    const name = properties.name ?? geometry.type
    const swatch = make('span', { class: 'swatch', 'aria-hidden': 'true' })
    swatch.style.background = colourOf(annotation)
    const size = measure(geometry, this.#stage?.slide.facts.mpp ?? null)
    const show = make('button', { type: 'button', id: `show-${id}`, 'aria-pressed': String(isSelected) }, swatch, name)
    show.addEventListener('click', () => this.#show(annotation))
    const item = make('li', {}, show, make('span', {}, size))
    if (!isSelected) return item
    const field = (label: string, value: string, list: string | null, change: (value: string) => Annotation) => {
      const input = make('input', { id: `${label}-${id}`, value, maxlength: '200', ...(list ? { list } : {}) })
      input.addEventListener('change', () => this.#try(() => this.#collection.replace(change(input.value.trim()))))
      return make('label', {}, `${label} `, input)
    }
    const remove = make('button', { type: 'button' }, 'Delete')
    remove.addEventListener('click', () => {
      this.#try(() => this.#collection.remove(id))
      tell(`${name} is deleted`)
      button('annotations-import').focus()
    })
    item.append(
      field('Name', properties.name ?? '', null, (value) => {
        const { name: _, ...rest } = properties
        return { ...annotation, properties: value === '' ? rest : { ...rest, name: value } }
      }),
      field('Class', properties.classification?.name ?? '', 'annotation-classes', (value) => {
        const { classification: _, ...rest } = properties
        const known = CLASSES.find((candidate) => candidate.name === value) ?? { name: value }
        return { ...annotation, properties: value === '' ? rest : { ...rest, classification: known } }
      }),
      remove,
    )
    return item
  }

  #show(annotation: Annotation): void {
    this.#collection.select(annotation.id)
    const { left, top, right, bottom } = boundsOf(annotation.geometry)
    this.#stage?.showPart(left, top, right - left, bottom - top)
  }

  async #import(file: File): Promise<void> {
    const stage = this.#stage
    if (!stage) return
    if (file.size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`)
    const annotations = parseGeoJson(await file.text())
    // Another slide may have been chosen meanwhile.
    if (stage !== this.#stage) return
    this.#collection.add(annotations)
    say('')
    tell(`${annotations.length} annotations are added`)
  }

  #export(): void {
    const name = this.#stage?.slide.facts.name.split('/').at(-1) ?? 'annotations'
    const type = 'application/geo+json'
    download(`${name}.geojson`, new Blob([formatGeoJson(this.#collection.all)], { type }))
  }

  #try(change: () => void): void {
    try {
      change()
    } catch (error) {
      say(`The browser can't keep it: ${messageOf(error)}`)
    }
  }
}
