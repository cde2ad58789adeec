/** Which of the images of a file to take, and how to bring its values into 8 bits. */
import { checkInteger, type OptionChecks, outOfRange } from '../arguments.js'
import { checkRange, type RangeChoice } from './range.js'

export interface SlideChoice {
  /**
   * Number of an image of a file that holds several, from 0: a directory of a TIFF's main chain, a frame of an
   * animation. Its levels come with it.
   */
  readonly page?: number | undefined
  /** Instead of a page: the number of an OME-TIFF's Image, or of one of a TIFF's pyramids, from 0. */
  readonly series?: number | undefined
  /**
   * For values of more than 8 bits, signed ones and floating-point ones: the value that becomes 0 and the one that
   * becomes 255; or "auto", for those that 0.1 % of the finest level are below and above.
   */
  readonly range?: RangeChoice | undefined
}

const NUMBER = (value: unknown, name: string) => checkInteger(value, name, 0, 2 ** 31)

/** Checks of {@link SlideChoice}, for options that have it. */
export const SLIDE_CHOICE_CHECKS: OptionChecks<SlideChoice> = {
  page: NUMBER,
  series: (value, name, { page }) => {
    NUMBER(value, name)
    if (page !== undefined) throw outOfRange('no series with a page', name, value)
  },
  range: checkRange,
}

/** Whether a choice chooses anything. */
export function isChoice({ page, series, range }: SlideChoice): boolean {
  return page !== undefined || series !== undefined || range !== undefined
}

/** @throws RangeError: a slide that is open is one picture already */
export function refuseChoiceOfOpen(choice: SlideChoice): void {
  for (const [name, value] of Object.entries(choice)) {
    if (value !== undefined) throw outOfRange('none, as the slide is open,', name, value)
  }
}
