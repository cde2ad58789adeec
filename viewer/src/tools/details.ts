/** All that is known of the slide on the page: facts, how near its tiles came, holes, label and macro image, properties. */
import type { Guest } from '../desk.js'
import { element, make, messageOf } from '../page.js'
import type { BadTile, SlideChecks, SlideFacts } from '../slide.js'
import type { Stage } from '../stage.js'
import { formatLength } from '../units.js'
import type { TileLayer } from './tile-layer.js'

export class Details implements Guest {
  readonly #layer: TileLayer
  #stage: Stage | null = null

  constructor(layer: TileLayer) {
    this.#layer = layer
  }

  show(stage: Stage): void {
    this.#stage = stage
    const { slide } = stage
    element('details-facts').replaceChildren(...rows(factsOf(slide.facts)))
    element('details-properties').replaceChildren(...rows(Object.entries(slide.facts.properties)))
    const ifStill = <T>(call: (value: T) => void) => {
      return (value: T) => {
        if (this.#stage === stage) call(value)
      }
    }
    const cannot = ifStill((error: unknown) => {
      element('details-checks').replaceChildren(...rows([['Checks', messageOf(error)]]))
    })
    if (slide.facts.quality !== null) {
      slide.checks().then(
        ifStill((checks) => {
          element('details-checks').replaceChildren(...rows(checksOf(checks)))
          this.#layer.set(checks)
        }),
        cannot,
      )
    }
    const showHoles = ifStill((holes: readonly BadTile[]) => this.#showHoles(holes))
    slide.onHoles = () => void slide.badTiles().then(showHoles, cannot)
    for (const name of slide.facts.associatedImages) {
      slide.associatedImage(name).then(
        ifStill((src: string) => {
          const image = make('img', { src, alt: `${name} of the slide`, loading: 'lazy' })
          element('details-images').append(make('figure', {}, image, make('figcaption', {}, name)))
        }),
        cannot,
      )
    }
  }

  clear(): void {
    this.#stage = null
    for (const part of ['facts', 'checks', 'properties', 'images', 'holes'])
      element(`details-${part}`).replaceChildren()
  }

  #showHoles(holes: readonly BadTile[]): void {
    element('details-holes').replaceChildren(
      ...holes.map(({ level, column, row, reason }) =>
        make('li', {}, `Level ${level}, column ${column}, row ${row}: ${reason}`),
      ),
    )
  }
}

function factsOf(facts: SlideFacts): [string, string][] {
  const { levels, mpp, objectivePower, model, quality, bpp, bytes } = facts
  const [full = { width: 0, height: 0 }] = levels
  const size = mpp
    ? ` (${formatLength(full.width * mpp.x, true)} x ${formatLength(full.height * mpp.y, true)})`
    : ', of unknown resolution'
  return [
    ['Name', facts.name],
    ['Size', `${full.width} x ${full.height} pixels${size}`],
    ['Levels', levels.map(({ width, height }) => `${width} x ${height}`).join(', ')],
    ['Resolution', mpp ? `${mpp.x} x ${mpp.y} µm a pixel` : 'unknown'],
    ['Objective', objectivePower ? `${objectivePower}x` : 'unknown'],
    ...(model === null ? [] : [['Model', `${model.name}, ${model.hash.slice(0, 12)}`] as [string, string]]),
    ...(quality === null ? [] : [['Quality', String(quality)] as [string, string]]),
    ...(bpp === null ? [] : [['Bits a pixel', `${bpp.toFixed(3)} (${(24 / bpp).toFixed(1)} : 1)`] as [string, string]]),
    ['Bytes', bytes.toLocaleString('en')],
  ]
}

function checksOf(checks: SlideChecks | null): [string, string][] {
  if (!checks?.summary) return [['Checks', 'The archive was made without checking its tiles']]
  const { tiles, psnr, codecs } = checks.summary
  const decibels = (value: number | 'unchanged') => (typeof value === 'number' ? `${value.toFixed(2)} dB` : value)
  return [
    ['Tiles checked', tiles.toLocaleString('en')],
    ['PSNR, least', decibels(psnr.least)],
    ['PSNR, 1 in 100', decibels(psnr.p1)],
    ['PSNR, 1 in 10', decibels(psnr.p10)],
    ['PSNR, median', decibels(psnr.p50)],
    [
      'Codecs',
      Object.entries(codecs)
        .map(([name, count]) => `${name} ${count}`)
        .join(', '),
    ],
  ]
}

function rows(entries: readonly (readonly [string, string])[]): HTMLElement[] {
  return entries.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value)))
}
