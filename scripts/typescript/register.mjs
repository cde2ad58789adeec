/**
 * Lets Node.js run this repository's TypeScript: `node --import ./scripts/typescript/register.mjs FILE.ts`. The tests run
 * in some hundreds of processes, and this takes each a third of the time that tsx takes. ava loads it once its own modules
 * are there, which then needn't be looked for by the hooks.
 */
import { register } from 'node:module'

register('./hooks.mjs', import.meta.url)
process.setSourceMapsEnabled(true)
// However it was loaded: processes that are started with this one's arguments run TypeScript as well.
if (!process.execArgv.some((argument) => argument.endsWith('scripts/typescript/register.mjs'))) {
  process.execArgv.push(`--import=${import.meta.url}`)
}
