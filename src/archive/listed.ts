/**
 * The first of many findings, and how many there are: a file that is bad all over has millions, which should fill
 * neither memory nor a terminal.
 */
export class Listed<T> {
  readonly first: T[] = []
  #count = 0

  get count(): number {
    return this.#count
  }

  add(finding: T): void {
    this.#count++
    if (this.first.length < MOST_LISTED) this.first.push(finding)
  }
}

/** Findings of one kind that are listed. */
const MOST_LISTED = 1000
