/** Figures for Prometheus: of a worker, and of a whole farm. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { FarmStatus } from './status.js'
import type { WorkerEvent } from './worker.js'

/** Seconds that a slide takes: a small one on a GPU to a large one on two cores. */
const SECONDS = [1, 5, 15, 60, 300, 900, 3600, 14_400, 57_600]

export class WorkerMetrics {
  readonly registry = new Registry()
  readonly #slides = this.#counter('cleric_farm_slides_total', 'Tries by how they ended', ['outcome'])
  readonly #sourceBytes = this.#counter('cleric_farm_source_bytes_total', 'Bytes of the slides that were compressed')
  readonly #bytes = this.#counter('cleric_farm_archive_bytes_total', 'Bytes of the archives that were made')
  readonly #tiles = this.#counter('cleric_farm_tiles_total', 'Tiles of the archives that were made')
  readonly #deleted = this.#counter(
    'cleric_farm_deleted_bytes_total',
    'Bytes of slides that were removed once validated',
  )
  readonly #seconds = new Histogram({
    name: 'cleric_farm_slide_seconds',
    help: 'Time that a slide took',
    buckets: SECONDS,
    registers: [this.registry],
  })
  readonly #active = new Gauge({ name: 'cleric_farm_active', help: 'Slides at work', registers: [this.registry] })

  /** @param queue gives the jobs of the whole farm by their state, each time that the figures are read */
  constructor(queue: () => Promise<Readonly<Record<string, number>>>) {
    collectDefaultMetrics({ register: this.registry })
    new Gauge({
      name: 'cleric_farm_jobs',
      help: 'Jobs of the whole farm, as Redis has them',
      labelNames: ['state'],
      registers: [this.registry],
      async collect() {
        for (const [state, count] of Object.entries(await queue())) this.set({ state }, count)
      },
    })
  }

  /** Takes note of what a worker told. */
  note(event: WorkerEvent): void {
    if (event.kind === 'trouble' || event.kind === 'part') return
    if (event.kind === 'deleted') this.#deleted.inc(event.result.sourceBytes)
    else if (event.kind === 'begun') this.#active.inc()
    else if (event.kind === 'divided') this.#active.dec()
    else this.#end(event)
  }

  #end(event: Exclude<WorkerEvent, { readonly kind: 'trouble' | 'part' | 'deleted' | 'begun' | 'divided' }>): void {
    this.#active.dec()
    this.#slides.inc({ outcome: event.kind })
    if (event.kind !== 'done') return
    const { sourceBytes, result, seconds } = event.row
    this.#sourceBytes.inc(sourceBytes)
    this.#bytes.inc(result?.bytes ?? 0)
    this.#tiles.inc(result?.tiles ?? 0)
    if (seconds !== null) this.#seconds.observe(seconds)
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }
}

/** What is told of a whole farm, by names. Sums begin with 0 when the farm does, and last as long as Redis. */
const OF_THE_FARM: Readonly<Record<string, readonly [help: string, of: (status: FarmStatus) => number]>> = {
  cleric_farm_all_source_bytes: ['Bytes of all slides that are done', ({ sourceBytes }) => sourceBytes],
  cleric_farm_all_archive_bytes: ['Bytes of their archives', ({ bytes }) => bytes],
  cleric_farm_all_tiles: ['Tiles of their archives', ({ tiles }) => tiles],
  cleric_farm_workers: ['Workers that are connected', ({ workers }) => workers.length],
  cleric_farm_paused: ['1 while no slide is begun', ({ isPaused }) => Number(isPaused)],
}

/** The figures of a whole farm. */
export class FarmMetrics {
  readonly registry = new Registry()
  readonly #jobs = new Gauge({
    name: 'cleric_farm_jobs',
    help: 'Slides by their state',
    labelNames: ['state'],
    registers: [this.registry],
  })
  readonly #others = Object.entries(OF_THE_FARM).map(([name, [help, of]]) => {
    return { gauge: new Gauge({ name, help, registers: [this.registry] }), of }
  })

  /** Takes over how far the farm is now. */
  note(status: FarmStatus): void {
    for (const [state, count] of Object.entries(status.counts)) this.#jobs.set({ state }, count)
    for (const { gauge, of } of this.#others) gauge.set(of(status))
  }
}
