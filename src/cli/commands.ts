import { readFileSync } from 'node:fs'
import { Cli, type Io } from './cli.js'
import { addCompare } from './compare.js'
import { addCompress } from './compress.js'
import { addConvertWeights } from './convert-weights.js'
import { addDecode } from './decode.js'
import { addDevices } from './devices.js'
import { addEncode } from './encode.js'
import { addExport } from './export.js'
import { addInfo } from './info.js'
import { addPackage, PACKAGES } from './packages.js'
import { addRegion } from './region.js'
import { addServe } from './serve.js'
import { addStatic } from './static.js'
import { addValidate } from './validate.js'

/** The whole command line. */
export function createCli(io: Io): Cli {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const cli = new Cli(io, version)
  addCompress(cli)
  addInfo(cli)
  addRegion(cli)
  addExport(cli)
  addEncode(cli)
  addDecode(cli)
  addCompare(cli)
  addValidate(cli)
  addServe(cli)
  addStatic(cli)
  addDevices(cli)
  addConvertWeights(cli)
  for (const commands of PACKAGES) addPackage(cli, commands)
  return cli
}
