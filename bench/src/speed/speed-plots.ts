/** The figures of `bench speed`, drawn by Vega-Lite. */
import { draw } from '../plots.js'
import type { SpeedReport } from './report.js'
import type { Scaling } from './scaling.js'
import type { TileSpeed } from './tiles.js'

const RATE_TITLE = 'megapixels a second'

/** SVG by file name, of the parts that were measured. */
export async function drawSpeed({ tiles = [], scaling }: SpeedReport): Promise<Map<string, string>> {
  const figures = new Map<string, string>()
  if (tiles.length > 0) figures.set('tiles.svg', await drawTiles(tiles))
  const panels = scaling ? scalingPanels(scaling) : []
  if (panels.length > 0) figures.set('scaling.svg', await draw({ hconcat: panels }))
  return figures
}

/** Bars: a panel a direction, a group a size, a bar a device. */
function drawTiles(tiles: readonly TileSpeed[]): Promise<string> {
  const directions = ['encode', 'decode'] as const
  return draw({
    hconcat: directions.map((direction) => ({
      title: direction,
      width: 260,
      height: 240,
      data: {
        values: tiles
          .filter((entry) => entry.direction === direction)
          .map(({ device, tile, megapixelsPerSecond }) => ({ device, tile, rate: megapixelsPerSecond.median })),
      },
      mark: 'bar' as const,
      encoding: {
        x: { field: 'tile', type: 'ordinal' as const, title: 'side of the tile, pixels', axis: { labelAngle: 0 } },
        xOffset: { field: 'device', type: 'nominal' as const },
        y: { field: 'rate', type: 'quantitative' as const, title: RATE_TITLE },
        color: { field: 'device', type: 'nominal' as const, title: null, legend: { symbolType: 'square' as const } },
      },
    })),
  })
}

function scalingPanels({ threads, inFlight, slides }: Scaling) {
  const panel = (axis: string, points: readonly { series: string; x: number; rate: number }[]) =>
    points.length === 0
      ? []
      : [
          {
            width: 240,
            height: 240,
            data: { values: points },
            mark: { type: 'line' as const, point: true },
            encoding: {
              x: { field: 'x', type: 'ordinal' as const, title: axis, axis: { labelAngle: 0 } },
              y: { field: 'rate', type: 'quantitative' as const, title: RATE_TITLE },
              color: { field: 'series', type: 'nominal' as const, title: null },
            },
          },
        ]
  const series = ({ device, direction }: { device: string; direction: string }) => `${direction}, ${device}`
  return [
    ...panel(
      'threads',
      threads.map((entry) => ({ series: series(entry), x: entry.threads, rate: entry.megapixelsPerSecond })),
    ),
    ...panel(
      'tiles in flight',
      inFlight.map((entry) => ({ series: series(entry), x: entry.tilesInFlight, rate: entry.megapixelsPerSecond })),
    ),
    ...panel(
      'side of the slide, pixels',
      slides.map(({ device, side, megapixelsPerSecond }) => ({
        series: `compress, ${device}`,
        x: side,
        rate: megapixelsPerSecond,
      })),
    ),
  ]
}
