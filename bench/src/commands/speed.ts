import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Cli, MAX_TILE_SIDE, makeFolder, numberFrom, PAD_MULTIPLE } from 'cleric/internal'
import { InvalidArgumentError } from 'commander'
import { SPEED_PARTS, type SpeedPart } from '../speed/context.js'
import { type Preset, presets } from '../speed/presets.js'

interface Options {
  readonly device: readonly string[]
  readonly model?: string
  readonly tiles: readonly number[]
  readonly slide?: string
  readonly sizes: readonly number[]
  readonly runtime?: string
  readonly seconds: number
  readonly parts: readonly SpeedPart[]
  readonly presets: readonly Preset[]
  readonly output?: string
}

const MAX_SLIDE_SIDE = 65_536
const OWN_PRESETS = Object.keys(presets) as Preset[]

/** `bench speed`. */
export function addSpeedBench(cli: Cli): void {
  cli.add<Options>(
    'bench speed',
    'How fast this machine encodes and decodes, where the time goes, and other runtimes beside it',
    (command) =>
      command
        .option('--device <list>', "of cpu, webgpu, parts of adapters' names; all; auto: cpu and the GPU", words, [
          'auto',
        ])
        .option('--model <file>', 'model file (default: the one that ships with cleric)')
        .option('--parts <list>', `some of ${SPEED_PARTS.join(',')}`, someOf(SPEED_PARTS), [...SPEED_PARTS])
        .option('--tiles <list>', 'sides of tiles', sidesUpTo(MAX_TILE_SIDE, PAD_MULTIPLE), [256, 512, 1024])
        .option('--slide <file>', 'what the stages are measured on (default: a drawn slide)')
        .option('--sizes <list>', 'sides of drawn slides', sidesUpTo(MAX_SLIDE_SIDE, 1), [1024, 2048, 4096])
        .option('--runtime <dir>', 'folder where `npm install onnxruntime-node` was run')
        .option('--presets <list>', `for table3, some of ${OWN_PRESETS.join(',')}`, someOf(OWN_PRESETS), ['paper', 's'])
        .option('--seconds <number>', 'of a measurement', numberFrom(0.01, 600), 3)
        .option('-o, --output <dir>', 'folder to write speed.json and the plots to'),
    async (session, { device, output, ...options }) => {
      // Loaded here, as loading a WebGPU implementation takes a while.
      const { benchSpeed } = await import('../speed/speed.js')
      const { describeFacts, describeSpeed } = await import('./speed-text.js')
      // Before the work, which takes a while.
      if (output !== undefined) await makeFolder(output)
      const progress = session.progress('bench')
      try {
        const { report, figures } = await benchSpeed({
          ...options,
          devices: device,
          figures: output !== undefined,
          signal: session.signal,
          onStart: (facts) => session.note(describeFacts(facts)),
          onProgress: (done, total, what) => progress.update(done, total, what),
        })
        if (output !== undefined) {
          await writeFile(join(output, 'speed.json'), `${JSON.stringify(report, null, 1)}\n`)
          for (const [name, svg] of figures) await writeFile(join(output, name), svg)
        }
        return { json: report, text: describeSpeed(report) }
      } finally {
        progress.end()
      }
    },
    'cleric bench speed --parts tiles,stages --seconds 1 --output speed',
  )
}

function words(text: string): string[] {
  const list = text.split(',').map((word) => word.trim())
  if (list.includes('')) throw new InvalidArgumentError('Expected a list such as cpu,webgpu.')
  return list
}

/** Parses a list of some of these words. */
function someOf<T extends string>(choices: readonly T[]): (text: string) => T[] {
  return (text) =>
    words(text).map((word) => {
      const choice = choices.find((candidate) => candidate === word)
      if (choice === undefined) throw new InvalidArgumentError(`Expected some of ${choices.join(',')}, not ${word}.`)
      return choice
    })
}

/** Parses a list of sides, multiples of `unit`; ascending, each once. */
function sidesUpTo(max: number, unit: number): (text: string) => number[] {
  return (text) => {
    const sides = words(text).map((word) => (/^\d+$/.test(word) ? Number(word) : Number.NaN))
    if (!sides.every((side) => side >= 1 && side <= max && side % unit === 0)) {
      const kind = unit === 1 ? 'sides' : `multiples of ${unit}`
      throw new InvalidArgumentError(`Expected ${kind} up to ${max}, such as 256,512.`)
    }
    return [...new Set(sides)].sort((a, b) => a - b)
  }
}
