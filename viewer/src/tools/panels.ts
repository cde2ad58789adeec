/** The panels beside the slide, one at a time, each opened and closed by its button. */
import { button, element } from '../page.js'

export const PANELS = ['details', 'colours', 'compare', 'annotations'] as const
export type Panel = (typeof PANELS)[number]

export function startPanels(): void {
  for (const panel of PANELS) button(`${panel}-button`).addEventListener('click', () => togglePanel(panel))
  button('panel-close').addEventListener('click', closePanel)
  button('shelf-button').addEventListener('click', toggleShelf)
  // The list would leave no room for the slide.
  if (isNarrow()) toggleShelf()
  element('slides').addEventListener('click', () => {
    if (isNarrow() && !element('shelf').hidden) toggleShelf()
  })
}

export function togglePanel(panel: Panel): void {
  const isOpen = !element(panel).hidden
  for (const other of PANELS) {
    const isShown = other === panel && !isOpen
    element(other).hidden = !isShown
    button(`${other}-button`).setAttribute('aria-expanded', String(isShown))
  }
  element('panel').hidden = isOpen
  if (!isOpen && isNarrow() && !element('shelf').hidden) toggleShelf()
}

/** Whether there is room for one thing beside the others only by lying over them: on a phone. */
function isNarrow(): boolean {
  return matchMedia('(max-width: 45rem)').matches
}

/** Closes what is open and gives the focus back to its button. @returns whether anything was */
export function closePanel(): boolean {
  const open = PANELS.find((panel) => !element(panel).hidden)
  if (!open) return false
  togglePanel(open)
  button(`${open}-button`).focus()
  return true
}

export function toggleShelf(): void {
  const shelf = element('shelf')
  shelf.hidden = !shelf.hidden
  button('shelf-button').setAttribute('aria-expanded', String(!shelf.hidden))
}

/** Opens the list of slides for a search. */
export function search(): void {
  if (element('shelf').hidden) toggleShelf()
  element('search').focus()
}
