/** A slide that is no archive, as what a pyramid is made of. */
import { type HoledImage, NothingButHoles } from '../archive/holes.js'
import { PYRAMID_TILE, type PyramidSource } from '../archive/pyramid.js'
import { SlideError } from '../errors.js'
import { levelPosition, type Region, type SlideSource } from '../slide/source.js'

export function pyramidSourceOf(slide: SlideSource): PyramidSource {
  return {
    levels: slide.levels,
    background: slide.background,
    overviewLevels: [],
    readOverviewLevel: () => Promise.reject(new Error('A slide has no overview')),
    async readRegionWithHoles(region: Region, signal?: AbortSignal): Promise<HoledImage> {
      try {
        return { image: await slide.readRegion(region, signal), holes: [] }
      } catch (error) {
        // What one place of a damaged slide says is no news of the others.
        if (!(error instanceof SlideError) || error.code !== 'ERR_OPENSLIDE_READ') throw error
        const downsample = slide.levels[region.level]?.downsample ?? 1
        const column = Math.floor(levelPosition(region.x, downsample) / PYRAMID_TILE)
        const row = Math.floor(levelPosition(region.y, downsample) / PYRAMID_TILE)
        throw new NothingButHoles([{ level: region.level, column, row, code: error.code, reason: error.message }])
      }
    },
  }
}
