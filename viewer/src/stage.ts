/** One slide on the page: an OpenSeadragon viewer, its view in pixels of level 0, and the tiles that failed. */
import OpenSeadragon from 'openseadragon'
import type { View } from './address.js'
import { quieten } from './openseadragon-console.js'
import { isStill } from './page.js'
import type { OpenSlide } from './slide.js'
import { GIVEN_UP } from './tiles/tile-queue.js'
import type { Point } from './units.js'

/**
 * Without a GPU a tile may take a minute, and others wait for it; a tile that fails fails by its answer. OpenSeadragon's
 * 30 s would leave the navigator blurred for good.
 */
const TILE_TIMEOUT_MS = 600_000
/** CSS pixels that a pixel of level 0 becomes at most. */
export const MAX_ZOOM = 8

/** A view that nothing moves for that long has come to rest. */
const REST_MS = 150
const DESTROY_MS = 1000

export interface FailedTile {
  /** Level of the pyramid, 0 being one pixel. */
  readonly level: number
  readonly column: number
  readonly row: number
  readonly message: string
  /** In viewport coordinates: the slide is 1 wide. */
  readonly bounds: OpenSeadragon.Rect
}

export interface StageOptions {
  readonly hasNavigator?: boolean
  /** What to begin with; null for all of the slide. */
  readonly view?: View | null
}

quieten()

/** Whether WebGL is done by a GPU: in software it is far slower than the browser's own drawing, on remote desktops, say. */
function hasGpu(): boolean {
  const context = document.createElement('canvas').getContext('webgl2', { failIfMajorPerformanceCaveat: true })
  context?.getExtension('WEBGL_lose_context')?.loseContext()
  return context !== null
}

export class Stage {
  readonly slide: OpenSlide
  readonly viewer: OpenSeadragon.Viewer
  readonly failed: FailedTile[] = []
  /** Resolves when the slide is in place, with its first view; its tiles may still be missing. */
  readonly ready: Promise<void>
  readonly #width: number
  readonly #element: HTMLElement
  #tiles: OpenSeadragon.TiledImage | null = null
  #isClosed = false

  constructor(host: HTMLElement, slide: OpenSlide, { hasNavigator = false, view = null }: StageOptions = {}) {
    this.slide = slide
    const [{ width, height } = { width: 1, height: 1 }] = slide.facts.levels
    this.#width = width
    this.#element = document.createElement('div')
    this.#element.className = 'viewer'
    host.append(this.#element)
    this.viewer = OpenSeadragon({
      element: this.#element,
      showNavigator: hasNavigator,
      navigatorPosition: 'BOTTOM_RIGHT',
      navigatorAutoFade: false,
      navigatorOpacity: 1,
      navigatorBackground: 'var(--glass)',
      navigatorDisplayRegionColor: '#b3006b',
      // The page has buttons and keys of its own.
      showNavigationControl: false,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      maxZoomPixelRatio: MAX_ZOOM,
      minZoomImageRatio: 0.5,
      animationTime: isStill() ? 0 : 0.5,
      // Panels open and close beside the slide without making it larger or smaller.
      preserveImageSizeOnResize: true,
      // Fading in would show the tile and what is under it, mixed.
      blendTime: 0,
      timeout: TILE_TIMEOUT_MS,
      // How many at a time is up to the queue of the tiles, which knows what is seen.
      imageLoaderLimit: 0,
      silenceMultiImageWarnings: true,
      drawer: hasGpu() ? ['webgl', 'canvas'] : ['canvas'],
    } as OpenSeadragon.Options)
    const { navigator } = this.viewer as unknown as { navigator?: { imageLoader: { timeout: number } } }
    // OpenSeadragon doesn't hand its viewer's timeout on.
    if (navigator) navigator.imageLoader.timeout = TILE_TIMEOUT_MS
    this.viewer.addHandler('canvas-key', (event) => {
      event.preventDefaultAction = true
    })
    this.viewer.addHandler('tile-load-failed', ({ tile, message }) => {
      if (message === GIVEN_UP) return
      this.failed.push({ level: tile.level, column: tile.x, row: tile.y, message, bounds: tile.bounds })
      if (!this.#isClosed) this.viewer.forceRedraw()
    })
    if (slide.overview !== null) {
      // Inside the slide's bounds, which its own rounded sides may miss by a pixel.
      const fitBounds = new OpenSeadragon.Rect(0, 0, 1, height / width)
      this.viewer.addTiledImage({ tileSource: { type: 'image', url: slide.overview, buildPyramid: false }, fitBounds })
    }
    this.ready = new Promise((resolve, reject) => {
      this.viewer.addTiledImage({
        tileSource: slide.tileSource(),
        success: (event: unknown) => {
          this.#tiles = (event as { item: OpenSeadragon.TiledImage }).item
          if (view) this.setView(view, true)
          else this.viewer.viewport.goHome(true)
          resolve()
        },
        error: ({ message }: { message: string }) => reject(new Error(message)),
      } as unknown as OpenSeadragon.TileSourceSpecifier)
    })
  }

  /** Tiles of the view that are loading or wait for that. */
  get pending(): number {
    const { imageLoader } = this.viewer as unknown as { imageLoader?: OpenSeadragon.ImageLoader }
    return imageLoader ? imageLoader.jobsInProgress + imageLoader.jobQueue.length : 0
  }

  /** Whether all that the view needs is drawn. */
  get isComplete(): boolean {
    return (this.#tiles?.getFullyLoaded() ?? false) && this.pending === 0
  }

  /** CSS pixels that a pixel of level 0 is wide now, or will be when the view has come to rest. */
  zoom(isCurrent = true): number {
    const { viewport } = this.viewer
    return (viewport.getZoom(isCurrent) * viewport.getContainerSize().x) / this.#width
  }

  /** Degrees clockwise, from 0 to below 360. */
  rotation(isCurrent = true): number {
    return ((this.viewer.viewport.getRotation(isCurrent) % 360) + 360) % 360
  }

  view(isCurrent = false): View {
    const center = this.viewer.viewport.getCenter(isCurrent)
    return {
      x: center.x * this.#width,
      y: center.y * this.#width,
      zoom: this.zoom(isCurrent),
      rotation: this.rotation(isCurrent),
    }
  }

  setView({ x, y, zoom, rotation }: View, immediately = false): void {
    const { viewport } = this.viewer
    viewport.setRotation(rotation, immediately)
    viewport.zoomTo((zoom * this.#width) / viewport.getContainerSize().x, undefined, immediately)
    viewport.panTo(new OpenSeadragon.Point(x / this.#width, y / this.#width), immediately)
  }

  fit(): void {
    this.viewer.viewport.setRotation(0)
    this.viewer.viewport.goHome()
  }

  zoomTo(zoom: number): void {
    const { viewport } = this.viewer
    viewport.zoomTo((zoom * this.#width) / viewport.getContainerSize().x)
    viewport.applyConstraints()
  }

  zoomBy(factor: number): void {
    this.viewer.viewport.zoomBy(factor)
    this.viewer.viewport.applyConstraints()
  }

  /** Moves what is seen by parts of the screen's width and height. */
  panBy(right: number, down: number): void {
    const { viewport } = this.viewer
    const { x, y } = viewport.getContainerSize()
    viewport.panBy(viewport.deltaPointsFromPixels(new OpenSeadragon.Point(right * x, down * y)))
    viewport.applyConstraints()
  }

  rotateBy(degrees: number): void {
    const { viewport } = this.viewer
    viewport.setRotation(viewport.getRotation() + degrees)
  }

  /** The middle of the view, in pixels of level 0. */
  middle(): Point {
    const { x, y } = this.view(true)
    return { x, y }
  }

  /** The pixel of level 0 under a place on the stage, in CSS pixels from its upper left corner. */
  toSlide({ x, y }: Point): Point {
    const point = this.viewer.viewport.viewerElementToViewportCoordinates(new OpenSeadragon.Point(x, y))
    return { x: point.x * this.#width, y: point.y * this.#width }
  }

  /** The place on the stage, in CSS pixels, of a pixel of level 0, as it is now. */
  toScreen({ x, y }: Point): Point {
    const { viewport } = this.viewer
    return viewport.pixelFromPoint(new OpenSeadragon.Point(x / this.#width, y / this.#width), true)
  }

  /** Shows a part of the slide, in pixels of level 0, with some room round it. */
  showPart(x: number, y: number, width: number, height: number): void {
    const room = 0.2 * Math.max(width, height, 64)
    const parts = [x - room, y - room, width + 2 * room, height + 2 * room].map((value) => value / this.#width)
    this.viewer.viewport.fitBounds(new OpenSeadragon.Rect(...(parts as [number, number, number, number])))
    this.viewer.viewport.applyConstraints()
  }

  /** Calls at an event of OpenSeadragon's viewer, until the stage is closed. */
  on(event: keyof OpenSeadragon.ViewerEventMap, call: () => void): void {
    this.viewer.addHandler(event, () => {
      if (!this.#isClosed) call()
    })
  }

  /** Calls after every drawing; what lies over the slide is drawn then. */
  onDraw(call: () => void): void {
    this.on('update-viewport', call)
    this.on('resize', call)
  }

  /** Calls when a view has come to rest, whatever moved it. */
  onRest(call: () => void): void {
    let timer: ReturnType<typeof setTimeout> | undefined
    const wait = () => {
      clearTimeout(timer)
      timer = setTimeout(() => !this.#isClosed && call(), REST_MS)
    }
    for (const event of ['animation', 'animation-finish', 'rotate', 'pan', 'zoom'] as const) this.on(event, wait)
  }

  /** Takes it off the page at once. */
  close(): void {
    this.#isClosed = true
    this.slide.close()
    this.#element.remove()
    // OpenSeadragon complains of a viewer that is destroyed before its slide is in place, in the navigator too, which
    // tells nobody of it and takes a moment.
    const destroy = () => setTimeout(() => this.viewer.destroy(), DESTROY_MS)
    this.ready.then(destroy, destroy)
  }
}
