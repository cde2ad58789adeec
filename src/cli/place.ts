import type { Command } from 'commander'
import { integerFrom } from './quantities.js'

const PLACE = integerFrom(-(2 ** 40), 2 ** 40)

/** The options of where a region begins. */
export function placeOptions(command: Command): Command {
  return command
    .option('--level <number>', 'level to read', integerFrom(0, 63), 0)
    .option('--x <pixels>', 'left edge, in level-0 pixels', PLACE, 0)
    .option('--y <pixels>', 'top edge, in level-0 pixels', PLACE, 0)
}
