/** What Stryker does to one source file; `scripts/mutants.ts` says which, and which tests should notice. */
const { MUTATE, MUTANT_TESTS } = process.env
if (!MUTATE || !MUTANT_TESTS) throw new Error('Run this by `npm run test:mutants`')

export default {
  mutate: [MUTATE],
  // There is no runner for AVA, so each mutant is a process of its own: what one does to the program's state ends with it.
  testRunner: 'command',
  commandRunner: { command: `node node_modules/ava/entrypoints/cli.mjs --fail-fast ${MUTANT_TESTS}` },
  coverageAnalysis: 'off',
  concurrency: 2,
  // A mutant may loop for ever; a busy machine is slow without that.
  timeoutMS: 10_000,
  timeoutFactor: 2,
  // Most strings are messages, whose wording the tests leave open.
  mutator: { excludedMutations: ['StringLiteral'] },
  reporters: ['clear-text', 'json'],
  clearTextReporter: { logTests: false, reportTests: false, allowColor: false },
  jsonReporter: { fileName: `build/mutants/${MUTATE.replaceAll('/', '-')}.json` },
  tempDirName: 'build/mutants/sandbox',
  // The copy that is mutated needs no more than what the tests read.
  ignorePatterns: ['bench', 'dist', 'docs', 'training', 'build/mutants', 'build/CMakeFiles'],
  // Stryker would rewrite tsconfig.json by an API that TypeScript 7 doesn't have; nothing in it depends on where it is.
  tsconfigFile: 'none.json',
  checkers: [],
  allowEmpty: true,
}
