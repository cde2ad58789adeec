/** What is being waited for: a slide, then its tiles. */
import { element } from './page.js'
import type { Stage } from './stage.js'

/** Most tiles come before anybody wonders. */
const PATIENCE_MS = 300

const note = element('progress')
let timer: ReturnType<typeof setTimeout> | null = null
let most = 0

export function showLoading(name: string): void {
  stop()
  note.hidden = false
  element('progress-text').textContent = `Loading ${name} ...`
}

export function hideProgress(): void {
  stop()
  note.hidden = true
  most = 0
}

/** Follows a stage's tiles until it is closed. */
export function followTiles(stage: Stage): void {
  hideProgress()
  const update = () => {
    const { pending } = stage
    if (pending === 0) return hideProgress()
    most = Math.max(most, pending)
    element('progress-text').textContent = `Loading tiles: ${most - pending + 1} of ${most}`
    // From the first missing tile on: a queue that never empties while the slide moves counts too.
    if (note.hidden && timer === null) {
      timer = setTimeout(() => {
        timer = null
        if (stage.pending > 0) note.hidden = false
      }, PATIENCE_MS)
    }
  }
  for (const event of ['tile-loaded', 'tile-load-failed', 'update-viewport'] as const) {
    // The job is still counted while its event is told.
    stage.on(event, () => queueMicrotask(update))
  }
}

function stop(): void {
  if (timer !== null) clearTimeout(timer)
  timer = null
}
