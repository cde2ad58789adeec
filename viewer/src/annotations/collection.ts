/** The annotations of the slide on the page, kept in the browser under the slide's name. */
import type { Annotation } from './annotation.js'
import { formatGeoJson, parseGeoJson } from './geojson.js'

const PREFIX = 'cleric-annotations:'

export class Collection {
  #name: string | null = null
  #annotations: Annotation[] = []
  #selected: string | null = null
  readonly #listeners: (() => void)[] = []

  get all(): readonly Annotation[] {
    return this.#annotations
  }

  get selected(): Annotation | null {
    return this.#annotations.find(({ id }) => id === this.#selected) ?? null
  }

  /** Calls after every change, also of what is selected. */
  onChange(call: () => void): void {
    this.#listeners.push(call)
  }

  /**
   * Takes up what was kept for a slide; null for none.
   *
   * @throws Error if what was kept can't be read; it stays where it is until something else is kept
   */
  open(name: string | null): void {
    this.#name = name
    this.#annotations = []
    this.#selected = null
    try {
      const kept = name === null ? null : localStorage.getItem(PREFIX + name)
      if (kept !== null) this.#annotations = parseGeoJson(kept)
    } finally {
      this.#tell()
    }
  }

  /** Adds them, in place of those with the same ids. @throws Error if the browser can't keep them */
  add(added: readonly Annotation[]): void {
    const ids = new Set(added.map(({ id }) => id))
    this.#annotations = [...this.#annotations.filter(({ id }) => !ids.has(id)), ...added]
    this.#selected = added.at(-1)?.id ?? this.#selected
    this.#keep()
  }

  /** Puts another in the place of that with the same id. */
  replace(annotation: Annotation): void {
    this.#annotations = this.#annotations.map((old) => (old.id === annotation.id ? annotation : old))
    this.#keep()
  }

  remove(id: string): void {
    this.#annotations = this.#annotations.filter((annotation) => annotation.id !== id)
    if (this.#selected === id) this.#selected = null
    this.#keep()
  }

  select(id: string | null): void {
    if (this.#selected === id) return
    this.#selected = id
    this.#tell()
  }

  #keep(): void {
    this.#tell()
    if (this.#name === null) return
    if (this.#annotations.length === 0) localStorage.removeItem(PREFIX + this.#name)
    else localStorage.setItem(PREFIX + this.#name, formatGeoJson(this.#annotations))
  }

  #tell(): void {
    for (const call of this.#listeners) call()
  }
}
