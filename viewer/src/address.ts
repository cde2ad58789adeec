/**
 * What is seen, as the part of the page's address after "#": `name@x,y,zoom` or `name@x,y,zoom,rotation`. The name's
 * parts are percent-encoded, "@" too, so the last "@" always begins the view.
 */

/** A view of a slide. */
export interface View {
  /** What is in the middle, in pixels of level 0. */
  readonly x: number
  readonly y: number
  /** CSS pixels that a pixel of level 0 is wide. */
  readonly zoom: number
  /** Degrees clockwise, from 0 to below 360. */
  readonly rotation: number
}

export interface Place {
  readonly name: string
  /** Null for all of the slide. */
  readonly view: View | null
}

const NUMBER = '(-?\\d{1,9}(?:\\.\\d{1,6})?)'
const VIEW = new RegExp(`^${NUMBER},${NUMBER},${NUMBER}(?:,${NUMBER})?$`)

/** @example formatPlace({ name: 'a/b.cleric.tif', view: { x: 100, y: 20, zoom: 0.5, rotation: 0 } }) // '#a/b.cleric.tif@100,20,0.5' */
export function formatPlace({ name, view }: Place): string {
  const path = name.split('/').map(encodeURIComponent).join('/')
  if (!view) return `#${path}`
  const rotation = round(view.rotation, 2)
  // The zoom has six digits after the point: a slide of 400,000 pixels fits a screen at 0.002.
  const numbers = [
    round(view.x, 1),
    round(view.y, 1),
    Math.max(round(view.zoom, 6), 1e-6)
      .toFixed(6)
      .replace(/\.?0+$/, ''),
  ]
  return `#${path}@${[...numbers, ...(rotation === 0 ? [] : [rotation])].join(',')}`
}

/**
 * @param hash with its "#", as location.hash has it
 * @returns null for one that names nothing
 * @throws Error if it isn't text, or what follows the name is no view
 */
export function parsePlace(hash: string): Place | null {
  const text = hash.replace(/^#/, '')
  if (text === '') return null
  const at = text.lastIndexOf('@')
  const name = decode(at < 0 ? text : text.slice(0, at))
  if (at < 0) return { name, view: null }
  const [, x, y, zoom, rotation = '0'] = VIEW.exec(text.slice(at + 1)) ?? []
  const turn = Number(rotation) % 360
  const view = { x: Number(x), y: Number(y), zoom: Number(zoom), rotation: turn < 0 ? turn + 360 : turn }
  if (!Object.values(view).every(Number.isFinite) || view.zoom <= 0) {
    throw new Error(`The address says ${text.slice(at)}: expected @x,y,zoom or @x,y,zoom,rotation`)
  }
  return { name, view }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error(`The address names no slide: #${text} is no percent-encoded text`)
  }
}

function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits
}
