/** Commands that take several inputs. */
import { extname, join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { makeFolder } from '../files/make-folder.js'
import { nameOf, publicName } from '../files/name.js'
import type { Outcome, Session } from './cli.js'
import { failureOf } from './failure.js'
import { DASH, expandPatterns, withInput } from './inputs.js'

/** The option of what {@link eachInput} writes for several inputs. */
export function outputDirOption(command: Command): Command {
  const about = 'folder for what is made of several inputs, each under its own name'
  return command.addOption(new Option('--output-dir <folder>', about).conflicts('output'))
}

export interface Outputs {
  /** What `-o` says; "-" is stdout. */
  readonly output: string | undefined
  /** What `--output-dir` says. */
  readonly outputDir: string | undefined
  /** Ending of the names in that folder, such as ".png". */
  readonly suffix: string
}

/**
 * Runs a command for its input, or for each of several. One that fails doesn't keep the others from being done; the exit
 * status is 1 then.
 *
 * @param inputs of the command line, patterns and "-" among them
 * @param run makes the output of a path; `output` is undefined where none was named
 */
export async function eachInput(
  session: Session,
  inputs: readonly string[],
  { output, outputDir, suffix }: Outputs,
  run: (path: string, output: string | undefined) => Promise<Outcome>,
): Promise<Outcome> {
  const paths = await expandPatterns(inputs)
  const [first = ''] = paths
  if (outputDir === undefined) {
    if (paths.length > 1) throw new InvalidArgumentError('Several inputs take --output-dir FOLDER.')
    if (first === DASH && output === undefined) throw new InvalidArgumentError('What comes from stdin takes -o.')
    return withInput(session, first, (path) => run(path, output))
  }
  const named = namesFor(paths, suffix)
  await makeFolder(outputDir)
  const jobs = [...named].map(([name, input]) => ({ input, run: (path: string) => run(path, join(outputDir, name)) }))
  const { done, failed, results } = await oneByOne(session, jobs)
  const text = `${done} done${failed > 0 ? `, ${failed} failed` : ''}: ${outputDir}`
  return { json: { outputDir, done, failed, results }, text, ok: failed === 0 }
}

/**
 * The same for a command that writes nothing: its own outcome for one input, and a list of outcomes for several.
 *
 * @param run for a path; its `ok` tells whether what it looked at is sound
 */
export async function eachWithoutOutput(
  session: Session,
  inputs: readonly string[],
  run: (path: string) => Promise<Outcome>,
): Promise<Outcome> {
  const paths = await expandPatterns(inputs)
  const [first = ''] = paths
  if (paths.length === 1) return withInput(session, first, run)
  const named = async (path: string, input: string) => {
    const { text, ...outcome } = await run(path)
    return { ...outcome, text: `${publicName(input)}: ${text}` }
  }
  const jobs = paths.map((input) => ({ input, run: (path: string) => named(path, input) }))
  const { done, failed, results } = await oneByOne(session, jobs)
  return {
    json: { ok: failed === 0, done, failed, results },
    text: `${done} sound${failed > 0 ? `, ${failed} not` : ''}`,
    ok: failed === 0,
  }
}

interface Job {
  readonly input: string
  readonly run: (path: string) => Promise<Outcome>
}

/** Does one after the other; one that fails keeps none of the others from being done. */
async function oneByOne(session: Session, jobs: readonly Job[]) {
  const results: object[] = []
  let failed = 0
  for (const { input, run } of jobs) {
    session.signal.throwIfAborted()
    try {
      const { json, text, ok = true } = await withInput(session, input, run)
      if (!ok) failed++
      results.push({ input, ...json })
      session.note(text)
    } catch (error) {
      if (session.signal.aborted) throw error
      const { code, message } = failureOf(error)
      failed++
      results.push({ input, error: { code, message } })
      session.complain(`${publicName(input)}: ${message}`)
    }
  }
  return { done: jobs.length - failed, failed, results }
}

/** Inputs by the names of their outputs. @throws InvalidArgumentError for two of one name */
function namesFor(inputs: readonly string[], suffix: string): Map<string, string> {
  const named = new Map<string, string>()
  const taken = new Map<string, string>()
  for (const input of inputs) {
    const plain = input === DASH ? 'stdin' : nameOf(input.replace(/^synthetic:/, 'synthetic-')).replaceAll(':', '-')
    const stem = plain.replace(/\.cleric\.tiff?$/i, '')
    const name = `${stem === plain ? plain.slice(0, plain.length - extname(plain).length) : stem}${suffix}`
    // Some file systems don't tell A from a.
    const other = taken.get(name.toLowerCase())
    if (other !== undefined)
      throw new InvalidArgumentError(`${publicName(other)} and ${publicName(input)} would both become ${name}.`)
    taken.set(name.toLowerCase(), input)
    named.set(name, input)
  }
  return named
}
