/** The routes of the IIIF Image API 3.0. A slide's identifier is its name, with "/" as %2F. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Sharp } from 'sharp'
import type { Image } from '../image/image.js'
import { fromImage, toImage } from '../image/sharp.js'
import type { IccMode } from '../slide/colour.js'
import { ASK_AGAIN, isKnown, sendPicture, untilLeft } from './answers.js'
import {
  CONTEXT,
  describeImage,
  FORMATS,
  type ImageAddress,
  type ImageRequest,
  PROFILE,
  parseImageRequest,
  type Quality,
} from './iiif.js'
import type { Library } from './library.js'
import { missing } from './refusal.js'

const ROOT = '/iiif/3'

export function serveIiif(server: FastifyInstance, library: Library, icc: IccMode): void {
  server.get<{ Params: { id: string } }>(`${ROOT}/:id`, async (request, reply) => {
    return reply.redirect(`${addressOf(request)}/info.json`, 303)
  })

  server.get<{ Params: { id: string } }>(`${ROOT}/:id/info.json`, async (request, reply) => {
    const answer = await library.visit(request.params.id, async ({ full }) => describeImage(full, addressOf(request)))
    if (!answer) throw missing('No such image')
    const wantsLinked = request.headers.accept?.includes('application/ld+json') ?? false
    reply.header('vary', 'accept').header('cache-control', ASK_AGAIN)
    if (!wantsLinked)
      reply.header('link', `<${CONTEXT}>;rel="http://www.w3.org/ns/json-ld#context";type="application/ld+json"`)
    return reply.type(wantsLinked ? `application/ld+json;profile="${CONTEXT}"` : 'application/json').send(answer)
  })

  server.get<{ Params: { id: string } & ImageAddress }>(
    `${ROOT}/:id/:region/:size/:rotation/:file`,
    { compress: false },
    async (request, reply) => {
      const { id, ...address } = request.params
      const answer = await library.visit(id, async (slide): Promise<FastifyReply> => {
        const asked = parseImageRequest(slide.full, address)
        const { region, size, format, canonical } = asked
        const links = [`<${PROFILE}>;rel="profile"`, `<${addressOf(request)}/${canonical}>;rel="canonical"`]
        reply.header('link', links.join(', '))
        if (isKnown(request, reply, slide.version, `iiif-${canonical.replace(/[,/]/g, '_')}`))
          return reply.code(304).send()
        // A profile of colours is none of greys.
        const kept = icc === 'keep' && GREYS.includes(asked.quality) ? 'none' : icc
        const encode = async (image: Image) => {
          const mirrored = asked.isMirrored ? await toImage(fromImage(image).flop()) : image
          return slide.encoder.encode(mirrored, FORMATS[format], kept, (pipeline) => changed(pipeline, asked))
        }
        const picture = await slide.picture(`iiif-${canonical}`, region, size, encode, untilLeft(reply))
        return sendPicture(reply, `image/${FORMATS[format]}`, picture)
      })
      if (!answer) throw missing('No such image')
      return answer
    },
  )
}

/** The address of the image that a request is about, as the client writes it. */
function addressOf({ protocol, host, raw }: FastifyRequest): string {
  const [path = ''] = (raw.url ?? '').split('?')
  return `${protocol}://${host}${path
    .split('/')
    .slice(0, ROOT.split('/').length + 1)
    .join('/')}`
}

const GREYS: readonly Quality[] = ['gray', 'bitonal']

/** Turns a picture, which is mirrored already, and takes its colour. */
function changed(pipeline: Sharp, { rotation, quality }: ImageRequest): Sharp {
  const turned = rotation === 0 ? pipeline : pipeline.rotate(rotation, { background: '#ffffff' })
  if (quality === 'gray') return turned.greyscale()
  return quality === 'bitonal' ? turned.greyscale().threshold(128) : turned
}
