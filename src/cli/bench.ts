import type { Cli } from './cli.js'
import { WithHint } from './failure.js'

// A variable, so that the compiler doesn't look for the package: it is built after this one, on which it depends.
const PACKAGE: string = '@cleric/bench'

/** The exports of that package that are used here. */
interface Bench {
  addCommands(cli: Cli): void
}

/**
 * The group of commands of @cleric/bench, which need more than cleric itself and are loaded when they are asked for.
 */
export function addBench(cli: Cli, load: () => Promise<Bench> = () => import(PACKAGE)): void {
  cli.addLater('bench', 'CLERIC beside other codecs and runtimes, on the same images', async () => {
    try {
      const { addCommands } = await load()
      addCommands(cli)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
      throw new WithHint(
        error,
        `; ${PACKAGE} comes with a clone of the repository, in bench/: run it there, after scripts/setup`,
      )
    }
  })
}
