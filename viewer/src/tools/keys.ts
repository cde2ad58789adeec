/** What keys do, and the help that lists them. */
import { element, make } from '../page.js'

export interface Command {
  /** As KeyboardEvent.key has them, "Shift+" before those with it that are no characters of their own. */
  readonly keys: readonly string[]
  readonly does: string
  run(): void
}

/** How keys are called in the help. */
const NAMES: Record<string, string> = {
  ArrowLeft: '←',
  ArrowRight: '→',
  ArrowUp: '↑',
  ArrowDown: '↓',
  ' ': 'Space',
}

/** Listens for the commands' keys wherever nothing is typed or chosen, and lists them in the help. */
export function startKeys(commands: readonly Command[]): void {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    const target = event.target as HTMLElement
    const isField = target.matches('input, select, textarea')
    // Enter presses buttons and follows links.
    const isPressed = event.key === 'Enter' && target.matches('button, a, summary')
    if ((isField && event.key !== 'Escape') || isPressed || element('help', HTMLDialogElement).open) return
    const key = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key
    const command = commands.find(({ keys }) => keys.includes(key))
    if (!command) return
    event.preventDefault()
    command.run()
  })
  element('help-keys').append(
    // Those without words are told with another.
    ...commands
      .filter(({ does }) => does !== '')
      .map(({ keys, does }) => {
        const names = keys.flatMap((key, i) => [...(i > 0 ? [' '] : []), make('kbd', {}, nameOf(key))])
        return make('div', {}, make('dt', {}, ...names), make('dd', {}, does))
      }),
  )
}

export function openHelp(): void {
  element('help', HTMLDialogElement).showModal()
}

function nameOf(key: string): string {
  return key.replace(/[^+]+$/, (last) => NAMES[last] ?? last) || key
}
