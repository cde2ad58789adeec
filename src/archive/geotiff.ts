/** Lets geotiff.js read the levels of archives. */
import { checkOptions, wrongType } from '../arguments.js'
import { type CodecChoice, codecUseChecks } from '../codec/arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import { lend } from '../codec/default-codec.js'
import { modelMismatch } from '../codec/model-mismatch.js'
import { COMPRESSION, TAGS } from '../tiff/tags.js'
import { readTileHead, type TileHead } from './description.js'

/** The part of geotiff.js, version 3, that is used. */
export interface GeotiffModule {
  addDecoder(
    compression: number,
    load: () => Promise<never>,
    parameters: (directory: { loadValue(tag: never): Promise<unknown> }) => Promise<never>,
    preferWorker?: boolean,
  ): void
  readonly BaseDecoder: new (parameters: never) => object
}

export interface GeotiffOptions extends CodecChoice {
  /** An open codec to decode with. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
}

interface Parameters {
  readonly tileWidth: number
  readonly tileHeight: number
  readonly predictor: 1
  readonly head: TileHead
}

/**
 * Registers a decoder for Compression 49644 with geotiff.js, which then reads the levels of an archive as it reads
 * other TIFFs: the main chain of a strict one, the SubIFDs of a compat one. A tile that is left out reads as zeros
 * there.
 *
 * @param geotiff the module
 * @param options which codec decodes; default as for {@link openArchive}
 * @example
 * import * as geotiff from 'geotiff'
 * registerWithGeotiff(geotiff)
 * const tiff = await geotiff.fromUrl('https://example.org/slide.cleric.tif')
 * const [red, green, blue] = await (await tiff.getImage(0)).readRasters({ window: [0, 0, 512, 512] })
 */
export function registerWithGeotiff(geotiff: GeotiffModule, options: GeotiffOptions = {}): void {
  if (typeof geotiff?.addDecoder !== 'function' || typeof geotiff.BaseDecoder !== 'function') {
    throw wrongType('the module geotiff', 'geotiff', geotiff)
  }
  const { codec, model, device, adapter } = checkOptions(options, codecUseChecks(['decodePayload']))
  class ClericDecoder extends geotiff.BaseDecoder {
    declare parameters: Parameters

    async decodeBlock(buffer: ArrayBuffer): Promise<ArrayBufferLike> {
      const { tileWidth: width, tileHeight: height, head } = this.parameters
      using loan = await lend({ codec, model, device, adapter })
      if (loan.codec.model.hash !== head.model.hash) {
        throw modelMismatch('The file', head.model, loan.codec.model)
      }
      const tile = { width, height, quality: head.quality }
      const { data } = await loan.codec.decodePayload(new Uint8Array(buffer), tile)
      return data.slice().buffer
    }
  }
  const parameters = async (directory: { loadValue(tag: never): Promise<unknown> }): Promise<Parameters> => {
    const value = (tag: number) => directory.loadValue(tag as never)
    const head = readTileHead(String(await value(TAGS.ClericTileHead)).replace(/\0$/, ''))
    const [tileWidth, tileHeight] = [Number(await value(TAGS.TileWidth)), Number(await value(TAGS.TileLength))]
    return { tileWidth, tileHeight, predictor: 1, head }
  }
  geotiff.addDecoder(
    COMPRESSION.cleric,
    async () => ClericDecoder as never,
    async (directory) => (await parameters(directory)) as never,
    false,
  )
}
