/** Groups of commands that are packages of their own, and are loaded when they are asked for. */
import type { Cli } from './cli.js'
import { WithHint } from './failure.js'

/** The exports of such a package that are used here. */
interface Commands {
  addCommands(cli: Cli): void
}

/** `folder` of the repository has the package `@cleric/folder`, with the commands `cleric folder ...`. */
export interface CommandPackage {
  readonly folder: string
  readonly about: string
}

export const PACKAGES: readonly CommandPackage[] = [
  { folder: 'bench', about: 'CLERIC beside other codecs and runtimes, on the same images' },
  { folder: 'farm', about: 'Thousands of slides over many machines' },
]

/** Adds the group of commands of a package. Those need more than cleric itself does. */
export function addPackage(
  cli: Cli,
  { folder, about }: CommandPackage,
  load: (name: string) => Promise<Commands> = (name) => import(name),
): void {
  const name = `@cleric/${folder}`
  const declare = async () => {
    try {
      const { addCommands } = await load(name)
      addCommands(cli)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
      throw new WithHint(
        error,
        `; ${name} comes with a clone of the repository, in ${folder}/: run it there, after scripts/setup`,
      )
    }
  }
  cli.addLater(folder, declare, about)
}
