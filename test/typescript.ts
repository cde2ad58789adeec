/** What a process that runs this repository's TypeScript is started with. */
export const TYPESCRIPT = `--import=${new URL('../scripts/typescript/register.mjs', import.meta.url)}`
