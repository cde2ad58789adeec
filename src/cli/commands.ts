import { packageVersion } from '../package.js'
import { Cli, type Io } from './cli.js'
import { addPackage, PACKAGES } from './packages.js'

/**
 * The commands by name, in the order of the help. Each is loaded when it is asked for: none has to wait for what only
 * another needs, and `cleric --version` for nothing.
 */
const COMMANDS: Readonly<Record<string, () => Promise<(cli: Cli) => void>>> = {
  compress: async () => (await import('./compress.js')).addCompress,
  info: async () => (await import('./info.js')).addInfo,
  region: async () => (await import('./region.js')).addRegion,
  latents: async () => (await import('./latents.js')).addLatents,
  thumbnail: async () => (await import('./thumbnail.js')).addThumbnail,
  export: async () => (await import('./export.js')).addExport,
  encode: async () => (await import('./encode.js')).addEncode,
  decode: async () => (await import('./decode.js')).addDecode,
  compare: async () => (await import('./compare.js')).addCompare,
  validate: async () => (await import('./validate.js')).addValidate,
  serve: async () => (await import('./serve.js')).addServe,
  static: async () => (await import('./static.js')).addStatic,
  pipe: async () => (await import('./pipe.js')).addPipe,
  devices: async () => (await import('./devices.js')).addDevices,
  'convert-weights': async () => (await import('./convert-weights.js')).addConvertWeights,
  completion: async () => (await import('./completion.js')).addCompletion,
}

/** The whole command line. */
export function createCli(io: Io): Cli {
  const cli = new Cli(io, packageVersion())
  for (const [name, load] of Object.entries(COMMANDS)) cli.addLater(name, async () => (await load())(cli))
  for (const commands of PACKAGES) addPackage(cli, commands)
  return cli
}
