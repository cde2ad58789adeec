/** The commands `cleric bench ...`: a package of their own, as cleric itself needs neither them nor what they need. */
import type { Cli } from 'cleric/internal'
import { addBordersBench } from './commands/borders.js'
import { addFallbackBench } from './commands/fallback.js'
import { addLatentsBench } from './commands/latents.js'
import { addQualityBenches } from './commands/quality.js'
import { addSpeedBench } from './commands/speed.js'

/** Called by cleric's command line. */
export function addCommands(cli: Cli): void {
  addQualityBenches(cli)
  addFallbackBench(cli)
  addLatentsBench(cli)
  addBordersBench(cli)
  addSpeedBench(cli)
}
