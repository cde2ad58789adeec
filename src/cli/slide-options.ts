/** Options that choose an image of a file that holds several, and what a command says of what it opened. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { publicName } from '../files/name.js'
import type { SlideChoice } from '../slide/choice.js'
import type { RangeChoice } from '../slide/range.js'
import type { Session } from './cli.js'
import { integerFrom } from './quantities.js'

const NUMBER = integerFrom(0, 2 ** 31)

/** The options of {@link SlideChoice}. */
export function slideOptions(command: Command): Command {
  const series = new Option('--series <number>', 'the image of an OME-TIFF, or pyramid of a TIFF, to take, from 0')
  return command
    .option('--page <number>', 'the image to take of a file that holds several, from 0', NUMBER)
    .addOption(series.argParser(NUMBER).conflicts('page'))
    .option('--range <min,max>', 'the values that become 0 and 255 where they have more than 8 bits, or "auto"', range)
}

/** What of a command's options chooses an image. */
export function choiceOf({ page, series, range }: SlideChoice): SlideChoice {
  return { page, series, range }
}

/** Says on stderr what of a file isn't taken, and which values were converted. */
export function warnOf(session: Session, path: string, warnings: readonly string[]): void {
  for (const warning of warnings) session.warn(`${publicName(path)}: ${warning}`)
}

function range(text: string): RangeChoice {
  if (text === 'auto') return text
  const parts = text.split(',')
  const [min, max] = parts.map(Number)
  const isRange = parts.length === 2 && parts.every((part) => part.trim() !== '') && (min as number) < (max as number)
  if (!isRange || !Number.isFinite(min) || !Number.isFinite(max)) {
    throw new InvalidArgumentError('Expected two numbers such as 0,4095, the first the lesser, or "auto".')
  }
  return [min as number, max as number]
}
