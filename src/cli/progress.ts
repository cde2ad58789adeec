/** How far a command is: a bar that is drawn over itself on a terminal, a line every few seconds elsewhere. */
import { duration } from './quantities.js'

interface Target {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

const TTY_MS = 100
const LINE_MS = 5000
const BAR = 24

export class Progress {
  readonly #label: string
  readonly #target: Target | null
  readonly #started = performance.now()
  /** The `done` of the first update: more than 0 in a run that goes on from another. */
  #begun: number | null = null
  #last = performance.now()
  #drawn = 0

  constructor(label: string, target: Target | null) {
    this.#label = label
    this.#target = target
    if (target?.isTTY) this.#last = Number.NEGATIVE_INFINITY
  }

  /** `done` of `total`, in any unit; `extra` is shown at the end of the line. */
  update(done: number, total: number, extra = ''): void {
    const now = performance.now()
    this.#begun ??= done
    if (!this.#target || now - this.#last < (this.#target.isTTY ? TTY_MS : LINE_MS)) return
    this.#last = now
    const share = total > 0 ? done / total : 1
    const doneHere = done - this.#begun
    const left = doneHere > 0 ? ((now - this.#started) * (total - done)) / doneHere / 1000 : null
    const parts = [`${(100 * share).toFixed(0).padStart(3)} %`, extra, left === null ? '' : `${duration(left)} left`]
    const text = parts.filter(Boolean).join(', ')
    if (this.#target.isTTY)
      this.#draw(`${this.#label} [${'#'.repeat(Math.round(BAR * share)).padEnd(BAR, '.')}] ${text}`)
    else this.#target.write(`${this.#label}: ${text}\n`)
  }

  /** Wipes the bar. */
  end(): void {
    if (this.#target?.isTTY && this.#drawn > 0) this.#target.write(`\r${' '.repeat(this.#drawn)}\r`)
    this.#drawn = 0
  }

  #draw(line: string): void {
    const text = line.slice(0, (this.#target?.columns ?? 80) - 1)
    this.#target?.write(`\r${text.padEnd(this.#drawn)}`)
    this.#drawn = text.length
  }
}
