/** The slide on the page, its place in the page's address, and what is to be told when another takes its place. */
import { formatPlace, type Place, parsePlace } from './address.js'
import { element, messageOf, say } from './page.js'
import { followTiles, hideProgress, showLoading } from './progress.js'
import { drawScaleBar } from './scale-bar.js'
import type { OpenSlide, Shelf, SlideFacts } from './slide.js'
import { hasSlide, markCurrent } from './slides.js'
import { Stage } from './stage.js'

/** What some part of the page does with every slide. */
export interface Guest {
  /** A slide is on the page. */
  show(stage: Stage): void
  /** It goes, or there is none: nothing of it may stay. */
  clear(): void
}

export class Desk {
  readonly shelf: Shelf
  readonly #guests: readonly Guest[]
  #stage: Stage | null = null
  #loading: AbortController | null = null
  #isInPlace = false
  /** What the page's address was when the page last read or wrote it. */
  #hash = ''
  #name: string | null = null

  constructor(shelf: Shelf, guests: readonly Guest[]) {
    this.shelf = shelf
    this.#guests = guests
    addEventListener('hashchange', () => this.followAddress())
    element('again').addEventListener(
      'click',
      () => this.#name !== null && this.#open({ name: this.#name, view: null }),
    )
  }

  /** What is shown; null while there is none, or it isn't in place yet. */
  get stage(): Stage | null {
    return this.#isInPlace ? this.#stage : null
  }

  /** Shows what the page's address names; the first of all slides if it names none. */
  followAddress(first: string | null = null): void {
    let place: Place | null
    this.#hash = location.hash
    try {
      place = parsePlace(location.hash)
    } catch (error) {
      this.clear()
      say(messageOf(error))
      return
    }
    if (!place && first === null) {
      this.clear()
      return
    }
    const wanted = place ?? { name: first as string, view: null }
    if (wanted.name === this.#name && this.stage) {
      if (wanted.view) this.stage.setView(wanted.view)
      return
    }
    // No other slide in place of one that is asked for.
    if (!hasSlide(wanted.name)) {
      this.clear()
      say(`There is no ${wanted.name} here; choose another slide`)
      return
    }
    this.#open(wanted)
  }

  /** Shows another slide, one step of Back from this one. */
  choose(name: string): void {
    location.hash = formatPlace({ name, view: null })
  }

  /** Address of exactly what is seen. */
  link(): string {
    const place = this.stage && { name: this.stage.slide.facts.name, view: this.stage.view() }
    return new URL(place ? formatPlace(place) : '', location.href).href
  }

  /** Takes the slide off the page: whatever stands under a name must be of that slide. */
  clear(): void {
    this.#loading?.abort()
    this.#loading = null
    this.#name = null
    for (const guest of this.#guests) guest.clear()
    this.#stage?.close()
    this.#stage = null
    this.#isInPlace = false
    element('facts').textContent = ''
    element('badge').hidden = true
    element('scale').hidden = true
    element('again').hidden = true
    document.title = 'cleric'
    hideProgress()
    markCurrent(null)
    say('')
  }

  #open(place: Place): void {
    this.clear()
    const loading = new AbortController()
    this.#loading = loading
    this.#name = place.name
    markCurrent(place.name)
    showLoading(place.name)
    this.shelf
      .open(place.name, loading.signal)
      .then(async (slide) => {
        // Another was chosen meanwhile.
        if (loading.signal.aborted) return slide.close()
        const stage = new Stage(element('view'), slide, { hasNavigator: true, view: place.view })
        this.#stage = stage
        await stage.ready
        if (!loading.signal.aborted) this.#show(stage)
      })
      .catch((error: unknown) => {
        if (loading.signal.aborted) return
        hideProgress()
        element('again').hidden = false
        say(`${place.name} can't be shown: ${messageOf(error)}`)
      })
  }

  #show(stage: Stage): void {
    this.#isInPlace = true
    const { facts } = stage.slide
    element('facts').textContent = summary(facts)
    showDecodedBy(stage.slide)
    stage.slide.onDecodedBy = () => showDecodedBy(stage.slide)
    document.title = `${facts.name} - cleric`
    followTiles(stage)
    stage.onDraw(() => drawScaleBar(stage))
    stage.onRest(() => this.#remember(stage))
    stage.on('tile-load-failed', () => {
      // None has failed that was only given up.
      if (stage.failed.length === 0) return
      element('again').hidden = false
      say(`A tile can't be shown: ${stage.failed.at(-1)?.message}`)
    })
    for (const guest of this.#guests) guest.show(stage)
    this.#remember(stage)
    drawScaleBar(stage)
  }

  /** Keeps the view in the address without a step of Back for each: Back leads to the slide before. */
  #remember(stage: Stage): void {
    // Back changes the address a moment before the page hears of it.
    if (this.stage !== stage || location.hash !== this.#hash) return
    history.replaceState(null, '', formatPlace({ name: stage.slide.facts.name, view: stage.view() }))
    this.#hash = location.hash
  }
}

const DECODED_BY = {
  browser: 'decoded by the browser',
  server: 'decoded by the server',
  nobody: 'overview only',
  undecided: 'starting to decode',
} as const

function showDecodedBy({ decodedBy, why }: OpenSlide): void {
  element('badge').textContent = DECODED_BY[decodedBy]
  element('badge').title = why
  element('badge').hidden = false
}

function summary({ levels, objectivePower, quality, bpp }: SlideFacts): string {
  const [{ width, height } = { width: 0, height: 0 }] = levels
  const parts = [`${width} x ${height}`]
  if (objectivePower) parts.push(`${objectivePower}x`)
  if (quality !== null) parts.push(`quality ${quality}`)
  if (bpp !== null) parts.push(`${bpp.toFixed(2)} bpp (${(24 / bpp).toFixed(1)} : 1)`)
  return parts.join(', ')
}
