/**
 * Another slide beside the one on the page, or over it behind a line that can be moved: the slide that an archive was
 * made from, say. Both show the same place, whichever is moved.
 */
import type { View } from '../address.js'
import type { Colours } from '../colours/guest.js'
import type { Guest } from '../desk.js'
import { button, element, make, messageOf, say } from '../page.js'
import type { Shelf } from '../slide.js'
import { slideNames } from '../slides.js'
import { Stage } from '../stage.js'

export class Compare implements Guest {
  readonly #shelf: Shelf
  readonly #colours: Colours
  readonly #form = element('compare-form', HTMLFormElement)
  readonly #choice = element('compare-slide', HTMLSelectElement)
  readonly #slider = element('compare-line', HTMLInputElement)
  readonly #stages = element('stages')
  #first: Stage | null = null
  #second: Stage | null = null
  #loading = new AbortController()
  /** Whether the pointer last moved the second; the first follows it then. */
  #isSecondLeading = false
  /** Where the first was put or seen last: if it is elsewhere it was moved by a key, a button or the pointer. */
  #placed: View | null = null

  constructor(shelf: Shelf, colours: Colours) {
    this.#shelf = shelf
    this.#colours = colours
    this.#choice.addEventListener('change', () => this.#choose())
    this.#form.addEventListener('change', () => this.#arrange())
    this.#slider.addEventListener('input', () => this.#arrange())
    button('compare-stop').addEventListener('click', () => this.stop())
  }

  get second(): Stage | null {
    return this.#second
  }

  /** How the two are laid out; null without a second. */
  get layout(): 'beside' | 'line' | null {
    if (!this.#second) return null
    return new FormData(this.#form).get('layout') === 'line' ? 'line' : 'beside'
  }

  /** Part of the width that is the first slide's, behind the line. */
  get line(): number {
    return Number(this.#slider.value) / 100
  }

  show(stage: Stage): void {
    this.#first = stage
    const { name, source } = stage.slide.facts
    const option = (value: string, text = value) => make('option', { value }, text)
    const others = slideNames().filter((other) => other !== name && other !== source)
    this.#choice.replaceChildren(
      option('', 'nothing'),
      ...(source ? [option(source, `its source, ${source}`)] : []),
      ...others.map((other) => option(other)),
    )
    this.#follow(stage)
  }

  clear(): void {
    this.stop()
    this.#first = null
    this.#choice.replaceChildren()
  }

  stop(): void {
    this.#loading.abort()
    if (this.#second) this.#colours.clear(this.#second)
    this.#second?.close()
    this.#second = null
    this.#isSecondLeading = false
    this.#choice.value = ''
    this.#arrange()
  }

  /** Compares with the slide's source, or with the first other slide, or stops. */
  toggle(): void {
    if (this.#second) {
      this.stop()
      return
    }
    const first = [...this.#choice.options].find(({ value }) => value !== '')
    if (!first) {
      say('There is no other slide here to compare with')
      return
    }
    this.#choice.value = first.value
    this.#choose()
  }

  #choose(): void {
    const name = this.#choice.value
    this.stop()
    this.#choice.value = name
    if (name === '') return
    const loading = new AbortController()
    this.#loading = loading
    const open = async () => {
      const slide = await this.#shelf.open(name, loading.signal)
      if (loading.signal.aborted) return slide.close()
      const stage = new Stage(element('second'), slide)
      this.#second = stage
      this.#arrange()
      await stage.ready
      if (loading.signal.aborted) return
      element('second-name').textContent = name
      this.#colours.show(stage)
      this.#follow(stage)
      this.#sync(this.#first)
      this.#arrange()
    }
    open().catch((error: unknown) => {
      if (loading.signal.aborted) return
      this.stop()
      say(`${name} can't be shown: ${messageOf(error)}`)
    })
  }

  #follow(stage: Stage): void {
    for (const event of ['canvas-press', 'canvas-scroll'] as const) {
      stage.on(event, () => {
        this.#isSecondLeading = stage === this.#second
      })
    }
    stage.on('resize', () => this.#sync(this.#first))
    stage.onDraw(() => {
      if (stage !== this.#first) {
        if (this.#isSecondLeading) this.#sync(stage)
      } else if (!this.#placed || !isSame(stage.view(true), this.#placed)) {
        this.#isSecondLeading = false
        this.#sync(stage)
      }
    })
  }

  /** Moves the other stage where `leader` is. */
  #sync(leader: Stage | null): void {
    const follower = leader === this.#first ? this.#second : this.#first
    if (!leader || !follower) return
    const wanted = mapped(leader.view(true), leader, follower)
    if (!isSame(wanted, follower.view(true))) follower.setView(wanted, true)
    this.#placed = this.#first?.view(true) ?? null
  }

  #arrange(): void {
    const { layout } = this
    this.#stages.dataset.layout = layout ?? 'one'
    this.#stages.style.setProperty('--line', `${this.line * 100}%`)
    this.#slider.hidden = layout !== 'line'
    button('compare-stop').disabled = layout === null
    button('compare-button').classList.toggle('changed', layout !== null)
    element('second').hidden = layout === null
    element('second-name').hidden = layout === null
  }
}

/** Less than a tenth of a pixel is no reason to draw again. */
function isSame(one: View, other: View): boolean {
  const distance = Math.hypot(one.x - other.x, one.y - other.y) * other.zoom
  return distance <= 0.1 && Math.abs(one.zoom / other.zoom - 1) <= 1e-4 && one.rotation === other.rotation
}

/**
 * The same place on another slide, as parts of its width and height, as large as it is on the first: in micrometres if both
 * say how large their pixels are.
 */
function mapped(view: View, from: Stage, to: Stage): View {
  const [a, b] = [from.slide.facts, to.slide.facts]
  const [one, other] = [a.levels[0], b.levels[0]]
  const widths = (other?.width ?? 1) / (one?.width ?? 1)
  const heights = (other?.height ?? 1) / (one?.height ?? 1)
  const pixels = a.mpp && b.mpp ? a.mpp.x / b.mpp.x : widths
  return { x: view.x * widths, y: view.y * heights, zoom: view.zoom / pixels, rotation: view.rotation }
}
