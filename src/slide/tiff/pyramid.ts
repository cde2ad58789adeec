/** Which images of a TIFF are reduced versions of another one: by their sizes, marks and order. */
import { type StoredTiffImage, shownSize } from '../../tiff/stored-image.js'

/** A picture with its reduced versions, finest first. */
export interface Stack {
  readonly levels: StoredTiffImage[]
}

const REDUCED_BIT = 1
const MASK_BIT = 4
/** Pixels by which a side may differ: programs round at each of several halvings. */
const ROUNDING = 2

export const isMarkedReduced = ({ subfile }: StoredTiffImage) => (subfile & REDUCED_BIT) !== 0
export const isMask = ({ subfile, photometric }: StoredTiffImage) => (subfile & MASK_BIT) !== 0 || photometric === 4

/** How many times smaller an image is than another of the same shape; null if it isn't. */
export function reductionOf(base: StoredTiffImage, image: StoredTiffImage): number | null {
  const [from, to] = [shownSize(base), shownSize(image)]
  if (to.width > from.width || to.height > from.height || to.width * to.height >= from.width * from.height) return null
  const isWide = from.width >= from.height
  const reduction = isWide ? from.width / to.width : from.height / to.height
  const off = isWide ? to.height - from.height / reduction : to.width - from.width / reduction
  return Math.abs(off) <= ROUNDING ? reduction : null
}

/** Whether an image can be the next level of a stack. */
function isNextLevel({ levels }: Stack, image: StoredTiffImage, isMarked: boolean): boolean {
  const [base, last] = [levels[0] as StoredTiffImage, levels.at(-1) as StoredTiffImage]
  const reduction = reductionOf(base, image)
  if (reduction === null || reductionOf(last, image) === null) return false
  if (base.samples !== image.samples || base.bits !== image.bits) return false
  if (isMarked) return true
  // Unmarked, only what is made like the rest of a pyramid: tiles, and sides that halve.
  const power = 2 ** Math.round(Math.log2(reduction))
  const room = Math.max(0.02, ROUNDING / Math.max(image.width, image.height))
  return base.isTiled === image.isTiled && power >= 2 && Math.abs(reduction / power - 1) <= room
}

/**
 * Groups images of the main chain, in their order, into stacks. SubIFDs go to the stack of their page.
 *
 * @param pages images of the main chain, each with those that hang off it
 * @returns the stacks, and the SubIFDs that are no reduced version of their page
 */
export function stacksOf(
  pages: readonly { readonly image: StoredTiffImage; readonly children: readonly StoredTiffImage[] }[],
): { readonly stacks: Stack[]; readonly strays: StoredTiffImage[] } {
  const stacks: Stack[] = []
  const strays: StoredTiffImage[] = []
  for (const { image, children } of pages) {
    const isPart = (stack: Stack) =>
      stack.levels.every(({ subIfd }) => subIfd === null) && isNextLevel(stack, image, isMarkedReduced(image))
    const home = children.length === 0 ? stacks.find(isPart) : undefined
    if (home) {
      home.levels.push(image)
      continue
    }
    const stack: Stack = { levels: [image] }
    const largestFirst = [...children].sort((a, b) => b.width * b.height - a.width * a.height)
    for (const child of largestFirst) {
      if (!isMask(child) && isNextLevel(stack, child, true)) stack.levels.push(child)
      else strays.push(child)
    }
    stacks.push(stack)
  }
  return { stacks, strays }
}

/** Level-0 pixels a pixel of a level: a whole number where the sides agree with one. */
export function downsampleOf(base: StoredTiffImage, image: StoredTiffImage): number {
  const [from, to] = [shownSize(base), shownSize(image)]
  const [x, y] = [from.width / to.width, from.height / to.height]
  const whole = Math.round((x + y) / 2)
  const agrees = (side: number, reduced: number) =>
    reduced === Math.ceil(side / whole) || reduced === Math.floor(side / whole)
  return agrees(from.width, to.width) && agrees(from.height, to.height) ? whole : (x + y) / 2
}
