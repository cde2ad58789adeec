/** The list of slides: links with thumbnails, and a search. */
import { formatPlace } from './address.js'
import { element, make } from './page.js'
import type { SlideEntry } from './slide.js'

const list = element('slides')
const search = element('search', HTMLInputElement)
let links: { readonly name: string; readonly item: HTMLLIElement; readonly link: HTMLAnchorElement }[] = []

export function listSlides(entries: readonly SlideEntry[]): void {
  links = entries.map(({ name, thumbnail }) => {
    const link = make('a', { href: formatPlace({ name, view: null }), 'data-name': name })
    // The name says all that the picture could, to those who don't see it.
    if (thumbnail) link.append(make('img', { src: thumbnail, alt: '', loading: 'lazy', width: '64', height: '48' }))
    link.append(make('span', {}, name.replace(/\.cleric(\.tif)?$/, '')))
    return { name, link, item: make('li', {}, link) }
  })
  list.replaceChildren(...links.map(({ item }) => item))
  filter()
}

/** All that are listed, whatever is searched for. */
export function slideNames(): string[] {
  return links.map(({ name }) => name)
}

export function hasSlide(name: string): boolean {
  return links.some((entry) => entry.name === name)
}

/** Marks the one that is shown; null for none. */
export function markCurrent(name: string | null): void {
  for (const entry of links) {
    if (entry.name === name) entry.link.setAttribute('aria-current', 'true')
    else entry.link.removeAttribute('aria-current')
  }
}

/** The slide before or after the current one, among those that the search leaves. */
export function neighbour(step: 1 | -1): string | null {
  const shown = links.filter(({ item }) => !item.hidden)
  const at = shown.findIndex(({ link }) => link.hasAttribute('aria-current'))
  return shown[at < 0 ? 0 : at + step]?.name ?? null
}

/** Every word must be in the name, in any order. */
function filter(): void {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
  let count = 0
  for (const { name, item } of links) {
    item.hidden = !words.every((word) => name.toLowerCase().includes(word))
    if (!item.hidden) count++
  }
  element('slide-count').textContent = words.length === 0 ? `${links.length}` : `${count} of ${links.length}`
}

search.addEventListener('input', filter)
search.addEventListener('keydown', (event) => {
  const first = links.find(({ item }) => !item.hidden)
  if (event.key !== 'Enter' || !first) return
  event.preventDefault()
  first.link.click()
})
