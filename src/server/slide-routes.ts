/** What the page and other viewers ask for of slides: lists, facts, DeepZoom, thumbnails, associated images. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { checksOf, checksWindow } from '../archive/checks-window.js'
import type { Image, Size } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { ASK_AGAIN, isKnown, queryOf, sendPicture, untilLeft } from './answers.js'
import { describeDeepZoom } from './deep-zoom.js'
import type { ModelFile } from './file-routes.js'
import type { Library } from './library.js'
import { badRequest, missing } from './refusal.js'
import type { ServedSlide } from './served-slide.js'
import type { TileFormat } from './tile-encoder.js'

interface Named {
  Params: { '*': string }
}

const THUMBNAIL = { least: 16, usual: 256, most: 1024 } as const

export function serveSlides(server: FastifyInstance, library: Library, usualIcc: IccMode, model: ModelFile): void {
  server.get('/slides', async (_request, reply) => {
    reply.header('cache-control', ASK_AGAIN)
    return library.list()
  })

  server.get('/slide', async (request, reply) => {
    const name = queryOf(request, 'name')
    if (name === undefined) throw missing()
    const facts = await library.visit(name, factsOf)
    if (!facts) throw missing()
    reply.header('cache-control', ASK_AGAIN)
    const hash = facts.model?.hash
    const isHeld = hash !== undefined && hash === (await model.hash())
    // What a page that decodes by itself fetches, so that it needn't try.
    const modelFile = isHeld ? `models/${hash}.safetensors` : null
    return { ...facts, modelFile, source: facts.kind === 'archive' ? await library.sourceOf(name) : null }
  })

  // NAME.dzi describes, NAME_files/LEVEL/COLUMN_ROW.jpeg are the tiles.
  server.get<Named>('/deepzoom/*', { compress: false }, async (request, reply) => {
    const address = request.params['*']
    const document = /^(.+)\.dzi$/.exec(address)
    const tile = /^(.+)_files\/(\d{1,2})\/(\d{1,7})_(\d{1,7})\.(jpeg|png)$/.exec(address)
    const name = document?.[1] ?? tile?.[1]
    if (name === undefined) throw missing()
    const icc = iccOf(request, usualIcc)
    return answer(library, name, async (slide) => {
      if (!tile)
        return reply
          .type('application/xml')
          .header('cache-control', ASK_AGAIN)
          .send(describeDeepZoom(slide.full, 'jpeg'))
      const [level, column, row] = tile.slice(2, 5).map(Number) as [number, number, number]
      if (!slide.hasTile(level, column, row)) throw missing()
      const format = tile[5] as TileFormat
      const key = `${level}-${column}-${row}-${icc}`
      if (isKnown(request, reply, slide.version, `${key}-${format}`)) return reply.code(304).send()
      const encode = (image: Image) => slide.encoder.encode(image, format, icc)
      const picture = await slide.tile(`${key}.${format}`, [level, column, row], encode, untilLeft(reply))
      return sendPicture(reply, `image/${format}`, picture)
    })
  })

  server.get<Named>('/thumbnail/*', { compress: false }, async (request, reply) => {
    const side = sideOf(request)
    return answer(library, request.params['*'], async (slide) => {
      if (isKnown(request, reply, slide.version, `thumbnail-${side}`)) return reply.code(304).send()
      const { width, height } = slide.full
      const icc = await slide.encoder.best()
      const picture = await slide.picture(
        `thumbnail-${side}`,
        { x: 0, y: 0, width, height },
        within(slide.full, Math.min(side, slide.cheapSide)),
        (image) => slide.encoder.encode(image, 'jpeg', icc),
        untilLeft(reply),
      )
      return sendPicture(reply, 'image/jpeg', picture)
    })
  })

  server.get<Named>('/associated/*', { compress: false }, async (request, reply) => {
    const wanted = queryOf(request, 'image')
    return answer(library, request.params['*'], async (slide) => {
      const at = slide.slide.associatedImages.indexOf(wanted ?? '')
      if (wanted === undefined || at < 0) throw missing('The slide has no such image')
      if (isKnown(request, reply, slide.version, `associated-${at}`)) return reply.code(304).send()
      const encode = (image: Image) => fromImage(image).jpeg(JPEG.viewer).toBuffer()
      return sendPicture(reply, 'image/jpeg', await slide.associated(wanted, encode, untilLeft(reply)))
    })
  })

  // How near each tile of an archive came to the slide: of the whole, or of a window of a level.
  server.get<Named & { Querystring: Record<string, unknown> }>('/checks/*', async (request, reply) => {
    return answer(library, request.params['*'], async ({ archive, version }) => {
      if (!archive) throw missing('No such archive')
      const asked = Object.entries(request.query).filter(([key]) => key !== 'v' && key !== 'token')
      const body = asked.length === 0 ? checksOf(archive) : checksWindow(archive, new Map(asked))
      if (typeof body === 'string') throw badRequest(body)
      const detail = `checks-${asked.map(([key, value]) => `${key}${value}`).join('-')}`
      return isKnown(request, reply, version, detail) ? reply.code(304).send() : reply.send(body)
    })
  })

  server.get<Named>('/bad-tiles/*', async (request, reply) => {
    return answer(library, request.params['*'], async (slide) => {
      return reply.header('cache-control', 'no-store').send(slide.holes)
    })
  })
}

async function answer(
  library: Library,
  name: string,
  use: (slide: ServedSlide) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const reply = await library.visit(name, use)
  if (!reply) throw missing()
  return reply
}

async function factsOf(served: ServedSlide) {
  const { name, slide, archive, version, encoder } = served
  return {
    name,
    kind: archive ? ('archive' as const) : ('slide' as const),
    format: slide.format,
    version,
    bytes: slide.bytes,
    bpp: archive?.bpp ?? null,
    quality: archive?.quality ?? null,
    model: archive?.model ?? null,
    checks: archive?.checks ?? null,
    mpp: slide.mpp,
    objectivePower: slide.objectivePower,
    icc: await encoder.best(),
    background: slide.background,
    levels: slide.levels,
    associatedImages: slide.associatedImages,
    properties: slide.properties,
  }
}

function iccOf(request: FastifyRequest, usual: IccMode): IccMode {
  const { icc } = request.query as { icc?: unknown }
  if (icc === undefined) return usual
  const mode = ICC_MODES.find((known) => known === icc)
  if (mode === undefined) throw badRequest(`Expected one of ${ICC_MODES.join(', ')} for icc`)
  return mode
}

function sideOf(request: FastifyRequest): number {
  const { size = String(THUMBNAIL.usual) } = request.query as { size?: unknown }
  const side = typeof size === 'string' && /^\d{1,5}$/.test(size) ? Number(size) : 0
  const { least, most } = THUMBNAIL
  if (side < least || side > most) throw badRequest(`Expected a number from ${least} to ${most} for size`)
  return side
}

/** The size that an image has if it is reduced to fit into a square. */
function within({ width, height }: Size, side: number): Size {
  const scale = Math.min(1, side / Math.max(width, height))
  const scaled = (length: number) => Math.max(1, Math.round(length * scale))
  return { width: scaled(width), height: scaled(height) }
}
