import type { Image, Size } from '../image/image.js'
import type { JpegTiles, Region, SlideSource } from './source.js'

/** A slide over another one, which is closed with it: the same but for what a subclass changes. */
export abstract class SlideOver implements SlideSource, Disposable {
  readonly format: string
  readonly path: string
  readonly bytes: number
  readonly version?: string
  readonly levels: SlideSource['levels']
  readonly mpp: SlideSource['mpp']
  readonly objectivePower: number | null
  readonly background: SlideSource['background']
  readonly properties: SlideSource['properties']
  readonly associatedImages: readonly string[]
  readonly contents: SlideSource['contents']
  readonly warnings: SlideSource['warnings']
  protected readonly slide: SlideSource

  constructor(slide: SlideSource, changed: Partial<Pick<SlideSource, 'background' | 'contents' | 'warnings'>> = {}) {
    const { background = slide.background, contents = slide.contents, warnings = slide.warnings } = changed
    this.format = slide.format
    this.path = slide.path
    this.bytes = slide.bytes
    if (slide.version !== undefined) this.version = slide.version
    this.levels = slide.levels
    this.mpp = slide.mpp
    this.objectivePower = slide.objectivePower
    this.background = background
    this.properties = slide.properties
    this.associatedImages = slide.associatedImages
    this.contents = contents
    this.warnings = warnings
    this.slide = slide
  }

  abstract readRegion(region: Region, signal?: AbortSignal): Promise<Image>

  readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    return this.slide.readAssociatedImage(name, signal)
  }

  iccProfile(): Uint8Array | null {
    return this.slide.iccProfile?.() ?? null
  }

  tileSize(level: number): Size | null {
    return this.slide.tileSize?.(level) ?? null
  }

  jpegTiles(level: number): JpegTiles | null {
    return this.slide.jpegTiles?.(level) ?? null
  }

  close(): void {
    this.slide.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
