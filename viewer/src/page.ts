/** Elements of index.html, and the few ways in which all of the page changes them. */

/** @throws Error if the page has no such element: index.html and the scripts are not of one build */
export function element<T extends Element = HTMLElement>(id: string, type?: new () => T): T {
  const found = document.getElementById(id)
  if (!found || (type && !(found instanceof type))) throw new Error(`index.html has no ${id}`)
  return found as unknown as T
}

export function button(id: string): HTMLButtonElement {
  return element(id, HTMLButtonElement)
}

/** A new element with attributes and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/** What went wrong, until something else is said; nothing takes it away. */
export function say(text: string): void {
  element('message').textContent = text
  element('message').hidden = text === ''
}

/** What has just been done, to people who see the page and to those who hear it. */
export function tell(text: string): void {
  element('status').textContent = text
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Gives a file to the user, as the browser's downloads do. */
export function download(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob)
  make('a', { href: address, download: name }).click()
  // The download has begun when the click returns, but not every browser has read the blob by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}

/** Whether the user wants nothing on the page to move by itself. */
export function isStill(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches
}
