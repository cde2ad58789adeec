/** Colours over the tiles of the archive, by how near they came to the slide or by the codec that stores them. */
import type { Guest } from '../desk.js'
import { element, make } from '../page.js'
import type { CheckedLevel, CheckedTiles, SlideChecks, TilePsnr } from '../slide.js'
import type { Stage } from '../stage.js'

type Kind = 'none' | 'psnr' | 'codec'

interface Window {
  readonly level: CheckedLevel
  readonly column: number
  readonly row: number
  readonly columns: number
  readonly tiles: CheckedTiles
}

/** Decibels, and colours from dark to light (viridis), which people who see few colours tell apart too. */
const PSNR_STOPS: readonly [number, string][] = [
  [30, '#440154'],
  [33, '#3b528b'],
  [36, '#21918c'],
  [39, '#5ec962'],
  [42, '#fde725'],
]
/** Okabe and Ito's colours. */
const CODEC_COLOURS: Record<string, string> = {
  cleric: '#56b4e9',
  avif: '#e69f00',
  webp: '#009e73',
  jpeg: '#f0e442',
  palette: '#0072b2',
  source: '#d55e00',
}
const OTHER = '#cc79a7'
/** Most tiles of a window that the server gives. */
const MAX_SIDE = 128

export class TileLayer implements Guest {
  readonly #choice = element('tile-colours', HTMLSelectElement)
  #stage: Stage | null = null
  #checks: SlideChecks | null = null
  #canvas: HTMLCanvasElement | null = null
  #window: Window | null = null
  #asked = ''

  constructor() {
    this.#choice.addEventListener('change', () => this.#changed())
  }

  show(stage: Stage): void {
    this.#stage = stage
    this.#canvas = make('canvas', { class: 'tile-colours' })
    stage.viewer.canvas.append(this.#canvas)
    stage.onDraw(() => this.#draw())
    stage.onRest(() => this.#ask())
  }

  /** What the archive says of its tiles; null if it says nothing. */
  set(checks: SlideChecks | null): void {
    this.#checks = checks
    this.#choice.disabled = checks === null
    this.#changed()
  }

  clear(): void {
    this.#stage = null
    this.#canvas = null
    this.set(null)
  }

  get #kind(): Kind {
    return this.#checks ? (this.#choice.value as Kind) : 'none'
  }

  #changed(): void {
    this.#window = null
    this.#asked = ''
    const stops = this.#kind === 'psnr' ? PSNR_STOPS.map(([psnr, colour]) => [`${psnr} dB`, colour]) : []
    const codecs = this.#kind === 'codec' ? [...Object.entries(CODEC_COLOURS), ['another', OTHER]] : []
    element('tile-legend').replaceChildren(
      ...[...stops, ...codecs].map(([text = '', colour = '']) => {
        const swatch = make('span', { class: 'swatch', 'aria-hidden': 'true' })
        swatch.style.background = colour
        return make('li', {}, swatch, text)
      }),
    )
    this.#ask()
    this.#draw()
  }

  /** Asks for the tiles of the view, of the level that it shows. */
  #ask(): void {
    const [stage, checks] = [this.#stage, this.#checks]
    if (!stage || !checks || this.#kind === 'none') return
    const zoom = stage.zoom()
    const index = Math.max(
      0,
      checks.levels.findLastIndex(({ downsample }) => downsample * zoom <= 1.01),
    )
    const level = checks.levels[index]
    if (!level) return
    const { width, height } = stage.viewer.canvas.getBoundingClientRect()
    const corners = [0, width].flatMap((x) => [0, height].map((y) => stage.toSlide({ x, y })))
    const range = (values: number[], tile: number, count: number): [number, number] => {
      const first = Math.min(Math.max(Math.floor(Math.min(...values) / tile), 0), count - 1)
      const last = Math.min(Math.max(Math.floor(Math.max(...values) / tile), first), count - 1, first + MAX_SIDE - 1)
      return [first, last - first + 1]
    }
    const [column, columns] = range(
      corners.map(({ x }) => x),
      level.tileWidth * level.downsample,
      level.columns,
    )
    const [row, rows] = range(
      corners.map(({ y }) => y),
      level.tileHeight * level.downsample,
      level.rows,
    )
    const key = [index, column, row, columns, rows].join()
    if (key === this.#asked) return
    this.#asked = key
    checks
      .window(index, column, row, columns, rows)
      .then((tiles) => {
        if (this.#asked !== key) return
        this.#window = { level, column, row, columns, tiles }
        this.#draw()
      })
      .catch((error: unknown) => {
        element('tile-legend').textContent = error instanceof Error ? error.message : String(error)
      })
  }

  #draw(): void {
    const [stage, canvas] = [this.#stage, this.#canvas]
    if (!stage || !canvas) return
    canvas.hidden = this.#kind === 'none'
    if (canvas.hidden) return
    const { width, height } = stage.viewer.canvas.getBoundingClientRect()
    ;[canvas.width, canvas.height] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)]
    const context = canvas.getContext('2d')
    if (!context || !this.#window) return
    const { level, column, row, columns, tiles } = this.#window
    context.scale(devicePixelRatio, devicePixelRatio)
    const [stepX, stepY] = [level.tileWidth * level.downsample, level.tileHeight * level.downsample]
    const [full] = stage.slide.facts.levels
    tiles.psnr.forEach((psnr, i) => {
      const colour = this.#kind === 'psnr' ? colourOfPsnr(psnr) : colourOfCodec(tiles.codec[i] ?? null)
      if (colour === null) return
      const x = (column + (i % columns)) * stepX
      const y = (row + Math.floor(i / columns)) * stepY
      const [right, bottom] = [
        Math.min(x + stepX, full?.width ?? x + stepX),
        Math.min(y + stepY, full?.height ?? y + stepY),
      ]
      context.beginPath()
      for (const corner of [
        { x, y },
        { x: right, y },
        { x: right, y: bottom },
        { x, y: bottom },
      ]) {
        const place = stage.toScreen(corner)
        context.lineTo(place.x, place.y)
      }
      context.closePath()
      context.fillStyle = colour
      context.globalAlpha = 0.4
      context.fill()
      context.globalAlpha = 1
      context.strokeStyle = colour
      context.stroke()
    })
  }
}

export function colourOfPsnr(psnr: TilePsnr): string | null {
  if (psnr === null) return null
  if (psnr === 'unchanged') return PSNR_STOPS.at(-1)?.[1] as string
  return (PSNR_STOPS.findLast(([least]) => psnr >= least) ?? (PSNR_STOPS[0] as [number, string]))[1]
}

function colourOfCodec(codec: string | null): string | null {
  return codec === null ? null : (CODEC_COLOURS[codec] ?? OTHER)
}
