/**
 * What a TIFF holds, and what of it is the slide: a decision that looks at directories only. The largest picture with
 * its reduced versions is the slide, what is named or marked as a label, macro image or thumbnail is an associated
 * image, and where that leaves several pictures, none is taken unless a page or series is asked for.
 */
import type { FilePage } from '../../tiff/file.js'
import { placeName, type StoredTiffImage, shownSize, storedImage } from '../../tiff/stored-image.js'
import { TAGS } from '../../tiff/tags.js'
import type { SlideChoice } from '../choice.js'
import type { HeldImage } from '../source.js'
import type { OmeImage } from './ome.js'
import { isMarkedReduced, isMask, reductionOf, type Stack, stacksOf } from './pyramid.js'
import { needsRange, whyUnreadable } from './readable.js'

export interface Selection {
  /** Finest first. */
  readonly levels: readonly StoredTiffImage[]
  readonly associated: readonly { readonly name: string; readonly image: StoredTiffImage }[]
  readonly contents: readonly HeldImage[]
  readonly warnings: readonly string[]
  /** The Image of OME that the slide is; null where there is none. */
  readonly ome: OmeImage | null
}

/** Why nothing is taken, in words that follow the file's name and a colon. */
export interface Refusal {
  readonly refusal: string
  readonly contents: readonly HeldImage[]
}

const ASSOCIATED_NAME = /^(label|macro|thumbnail|overview)( image)?$/i
/** Longer sides than a thumbnail's. */
const MOST_THUMBNAIL = 2048
/** Places that a message lists. */
const MOST_LISTED = 8

/**
 * @param ome the images that the file's OME-XML lists; null if it has none
 */
export function select(
  filePages: readonly FilePage[],
  ome: readonly OmeImage[] | null,
  choice: SlideChoice,
): Selection | Refusal {
  const pages: { image: StoredTiffImage; children: StoredTiffImage[] }[] = []
  for (const [page, { directory, children }] of filePages.entries()) {
    const images = [storedImage(directory, { page, subIfd: null })]
    images.push(...children.map((child, subIfd) => storedImage(child, { page, subIfd })))
    const fault = images.find((image) => typeof image === 'string')
    if (fault !== undefined) return { refusal: fault as string, contents: [] }
    const [image, ...rest] = images as StoredTiffImage[]
    pages.push({ image: image as StoredTiffImage, children: rest })
  }
  const all = pages.flatMap(({ image, children }) => [image, ...children])
  const hidden = hiddenImages(filePages, ome)
  const roles = new Map<StoredTiffImage, string>()
  const contents = () => all.map((image) => held(image, roles.get(image) ?? null))
  if (hidden !== null) return { refusal: hidden, contents: contents() }

  const associated: { name: string; image: StoredTiffImage }[] = []
  const isNamed = ({ image }: (typeof pages)[number]) => associatedName(image, ome) !== null
  const unnamed = pages.filter((page) => !isNamed(page) && !isMask(page.image))
  const { stacks } = stacksOf(unnamed)
  const largest = largestOf(stacks)
  for (const page of pages.filter((each) => isNamed(each) && largest !== undefined)) {
    addAssociated(associated, associatedName(page.image, ome) as string, page.image)
  }
  const pictures = stacks.filter((stack) => {
    if (stack === largest || !largest || !isThumbnailOf(largest, stack)) return true
    addAssociated(associated, 'thumbnail', stack.levels[0] as StoredTiffImage)
    return false
  })
  const chosen = choose(
    pictures,
    pages.map(({ image }) => image),
    ome,
    choice,
  )
  if (typeof chosen === 'string') return { refusal: chosen, contents: contents() }

  const warnings: string[] = []
  // A picture that was asked for among others isn't the one that the file's label and thumbnail belong to.
  const isWhole = chosen.levels[0] === largest?.levels[0]
  const kept = isWhole ? associated.filter(({ image }) => whyUnreadable(image) === null && !needsRange(image)) : []
  for (const [i, image] of chosen.levels.entries()) roles.set(image, `level ${i}`)
  for (const { name, image } of kept) roles.set(image, name)
  const left = all.filter((image) => !roles.has(image))
  if (left.length > 0)
    warnings.push(`${left.length} of the ${all.length} images that it holds aren't taken: ${listed(left)}`)
  const base = chosen.levels[0] as StoredTiffImage
  const image = ome?.find((each) => base.subIfd === null && each.pages.includes(base.page)) ?? null
  return { levels: chosen.levels, associated: kept, contents: contents(), warnings, ome: image }
}

/** Images that have no directory of their own here; null if all have. */
function hiddenImages(filePages: readonly FilePage[], ome: readonly OmeImage[] | null): string | null {
  const description = filePages[0]?.directory.text(TAGS.ImageDescription) ?? ''
  const images = /^ImageJ=[\s\S]*^images=(\d{1,9})/m.exec(description)?.[1]
  if (Number(images ?? 1) > filePages.length) {
    return `by its ImageDescription (ImageJ) it holds ${images} images, but it has directories for ${filePages.length}`
  }
  if (ome?.some(({ isElsewhere }) => isElsewhere)) return 'by its OME-XML parts of its images are in other files'
  const missing = ome?.flatMap(({ pages }) => pages).find((page) => !(page < filePages.length))
  if (missing !== undefined) {
    return `by its OME-XML it has an image in directory ${missing}, but it has ${filePages.length} directories`
  }
  return null
}

/** The stack taken, or why none is. */
function choose(
  pictures: readonly Stack[],
  pages: readonly StoredTiffImage[],
  ome: readonly OmeImage[] | null,
  { page, series }: SlideChoice,
): Stack | string {
  if (page !== undefined) {
    const image = pages[page]
    if (!image) return `--page ${page}: it has pages 0 to ${pages.length - 1}`
    return pictures.find(({ levels }) => levels[0] === image) ?? { levels: [image] }
  }
  if (series !== undefined && ome) {
    const image = ome[series]
    if (!image) return `--series ${series}: it has series 0 to ${ome.length - 1}`
    if (image.pages.length !== 1) return `series ${series} holds ${planesOf(image)}; give --page N to take one of them`
    return choose(pictures, pages, null, { page: image.pages[0] })
  }
  if (series !== undefined) {
    return pictures[series] ?? `--series ${series}: it has series 0 to ${pictures.length - 1}`
  }
  const [only, ...others] = pictures
  if (!only) return 'it holds no picture but masks'
  if (others.length === 0) return only
  const images = pictures.map(({ levels }) => levels[0] as StoredTiffImage)
  const what = ome?.length === 1 ? planesOf(ome[0] as OmeImage) : `${pictures.length} pictures`
  return `it holds ${what} (${listed(images)}), and only one can be taken: give --page N${ome && ome.length > 1 ? ' or --series N' : ''}`
}

function planesOf({ channels, heights, times }: OmeImage): string {
  const parts = [
    ...(channels > 1 ? [`${channels} channels`] : []),
    ...(heights > 1 ? [`${heights} focal planes`] : []),
    ...(times > 1 ? [`${times} points in time`] : []),
  ]
  return parts.length > 0 ? parts.join(', ') : 'several images'
}

function largestOf(stacks: readonly Stack[]): Stack | undefined {
  const area = ({ levels: [base] }: Stack) => (base ? base.width * base.height : 0)
  const isMarked = ({ levels: [base] }: Stack) => base !== undefined && isMarkedReduced(base)
  return [...stacks].sort((a, b) => Number(isMarked(a)) - Number(isMarked(b)) || area(b) - area(a))[0]
}

/** A small picture of the same shape by itself. */
function isThumbnailOf({ levels: [base] }: Stack, { levels }: Stack): boolean {
  const [image] = levels
  if (!base || !image || levels.length > 1) return false
  const { width, height } = shownSize(image)
  const reduction = reductionOf(base, image)
  return Math.max(width, height) <= MOST_THUMBNAIL && reduction !== null && reduction >= 2
}

/** The name by which an image says that it is no slide. */
function associatedName(image: StoredTiffImage, ome: readonly OmeImage[] | null): string | null {
  const { directory, page, subIfd } = image
  if (subIfd !== null) return null
  const pageName = directory.text(TAGS.PageName).trim()
  const names = [
    ome?.find(({ pages }) => pages.length === 1 && pages[0] === page)?.name,
    pageName,
    /^Aperio[^\n]*\n(\w+)/.exec(directory.text(TAGS.ImageDescription))?.[1],
  ]
  const known = names.find((name) => name !== undefined && ASSOCIATED_NAME.test(name))
  if (known) return known.toLowerCase().replace(/ image$/, '')
  // Exports of ours name each such image, and mark it as reduced.
  return isMarkedReduced(image) && !image.isTiled && pageName !== '' && pageName.length <= 64 ? pageName : null
}

function addAssociated(all: { name: string; image: StoredTiffImage }[], name: string, image: StoredTiffImage): void {
  const isTaken = (wanted: string) => all.some((each) => each.name === wanted)
  let free = name
  for (let i = 2; isTaken(free); i++) free = `${name} ${i}`
  all.push({ name: free, image })
}

function held(image: StoredTiffImage, role: string | null): HeldImage {
  const { page, subIfd } = image
  return { page, subIfd, ...shownSize(image), role }
}

/** "directory 0, 400 x 300; directory 1, 400 x 300 and 3 more" */
function listed(images: readonly StoredTiffImage[]): string {
  const each = images.slice(0, MOST_LISTED).map((image) => {
    const { width, height } = shownSize(image)
    return `${placeName(image)}, ${width} x ${height}`
  })
  return `${each.join('; ')}${images.length > MOST_LISTED ? ` and ${images.length - MOST_LISTED} more` : ''}`
}
