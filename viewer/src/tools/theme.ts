/** Light or dark: as the system has it, until somebody chooses. */
import { button } from '../page.js'

const KEY = 'cleric-theme'
const THEMES = ['auto', 'light', 'dark'] as const
type Theme = (typeof THEMES)[number]

let theme: Theme = THEMES.find((candidate) => candidate === kept()) ?? 'auto'

export function startTheme(): void {
  apply()
}

/** The next of auto, light, dark. */
export function changeTheme(): void {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] as Theme
  apply()
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // Where the browser keeps nothing, the choice holds as long as the page.
  }
}

function apply(): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  button('theme').textContent = `Theme: ${theme}`
}

function kept(): string | null {
  try {
    return localStorage.getItem(KEY)
  } catch {
    return null
  }
}
