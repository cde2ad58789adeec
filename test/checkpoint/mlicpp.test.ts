/**
 * Checkpoints of MLIC++: what this project's network computes of their weights is what MLIC++'s own code, at
 * github.com/JiangWeibeta/MLIC with CompressAI 1.2.8, computed of the same (test/fixtures/mlicpp.json).
 */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ava, { type ExecutionContext } from 'ava'
import type { Weights } from '../../src/checkpoint/checkpoint.js'
import { writeWeights } from '../../src/checkpoint/convert.js'
import { fromMlicpp, isMlicpp, isWeight } from '../../src/checkpoint/mlicpp.js'
import { readSafetensors } from '../../src/model/safetensors.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-mlicpp-'))
ava.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const training = fileURLToPath(new URL('../../training', import.meta.url))
const script = fileURLToPath(new URL('mlicpp.py', import.meta.url))
const python = process.env.PYTHON ?? (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3')
const never = new AbortController().signal

interface Found {
  readonly z: readonly number[]
  readonly y_hat: readonly number[]
  readonly x_hat: readonly number[]
}
const golden: Readonly<Record<string, Found & { readonly bits: number }>> = JSON.parse(
  readFileSync(new URL('../fixtures/mlicpp.json', import.meta.url), 'utf8'),
)

/** Without PyTorch skipped, visibly, but not in continuous integration. */
const hasTorch = (() => {
  try {
    const look = 'import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))'
    execFileSync(python, ['-c', look, 'torch', 'torchvision', 'numpy'], { stdio: 'ignore' })
    return true
  } catch {
    return process.env.CI === 'true'
  }
})()
function testWithTorch(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  if (hasTorch) ava.serial(title, run)
  else ava.skip(`${title} (needs PyTorch)`, run)
}

async function runPython(...argv: string[]): Promise<string> {
  const env = { ...process.env, PYTHONPATH: training }
  const { stdout } = await promisify(execFile)(python, [script, ...argv], { cwd: training, env, maxBuffer: 2 ** 26 })
  return stdout
}

/** A year of MLIC++'s code, and how a checkpoint nests what that names. */
const KINDS = ['2023-parallel', '2024-training', '2024-plain'] as const
const [checkpointOf, weightsOf] = [(kind: string) => at(`${kind}.pt`), (kind: string) => at(`${kind}.safetensors`)]
const years = { '2023': '2023-parallel', '2024': '2024-training' } as const
/** What this project's network computes of the checkpoints, by year. */
const found = new Map<string, Found & { readonly bits: readonly number[] }>()

// PyTorch takes a second to start: once to write all checkpoints, once to run what was converted of them.
ava.before(async () => {
  if (!hasTorch) return
  await runPython('save', folder, ...KINDS)
  for (const kind of KINDS) {
    const { tensors } = await writeWeights(checkpointOf(kind), weightsOf(kind), never)
    if (tensors !== readSafetensors(readFileSync(weightsOf(kind))).tensors.size)
      throw new Error('tensors were miscounted')
  }
  const results = JSON.parse(await runPython('run', ...Object.values(years).map(weightsOf)))
  for (const [i, year] of Object.keys(years).entries()) found.set(year, results[i])
})

/** Every so manieth value, as the fixture has them. */
const every = (values: readonly number[], step: number) => values.filter((_, i) => i % step === 0)

/** Largest difference over the largest value expected. */
function difference(found: readonly number[], expected: readonly number[]): number {
  const most = (values: readonly number[]) => values.reduce((sum, value) => Math.max(sum, Math.abs(value)), 0)
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY
  return most(found.map((value, i) => value - (expected[i] as number))) / most(expected)
}

for (const year of Object.keys(years)) {
  testWithTorch(`the network of ${year} computes what MLIC++'s own code does`, async (t) => {
    const { z, y_hat, x_hat, bits } = found.get(year) as Found & { readonly bits: readonly number[] }
    const expected = golden[year] as (typeof golden)[string]
    // Medians are none of z's values here; a channel of ones, and three of zeros, carry them.
    const places = 2
    t.deepEqual(z.slice(0, expected.z.length), expected.z)
    t.deepEqual(z.slice(expected.z.length), [...Array(places).fill(1), ...Array(3 * places).fill(0)])
    const errors = {
      y: difference(every(y_hat, 7), expected.y_hat),
      x: difference(every(x_hat, 97), expected.x_hat),
      bits: difference(bits, [expected.bits]),
    }
    t.log(errors)
    t.true(Math.max(errors.y, errors.x, errors.bits) < 1e-5, JSON.stringify(errors))
  })
}

testWithTorch('it is the same however it is nested', async (t) => {
  t.true(readFileSync(weightsOf('2024-plain')).equals(readFileSync(weightsOf('2024-training'))))
})

testWithTorch('convert-weights makes a model of it that encodes and decodes', async (t) => {
  const { createCli } = await import('../../src/cli/commands.js')
  const { openCodec } = await import('../../src/codec/codec.js')
  const { fill } = await import('../../src/image/draw.js')
  let stderr = ''
  const io = { stdout: { write: () => {} }, stderr: { write: (text: string) => (stderr += text) } }
  const output = at('model.safetensors')
  const argv = [
    'convert-weights',
    checkpointOf('2023-parallel'),
    '-o',
    output,
    '--',
    '--drawn',
    '--crops',
    '2',
    '--name',
    'mlicpp',
  ]
  t.is(await createCli(io).run(argv), 0, stderr)
  using codec = await openCodec({ model: output, device: 'cpu' })
  t.is(codec.latentChannels, 64)
  const image = fill(64, 64, { red: 200, green: 120, blue: 160 })
  const decoded = await codec.decodeTile(await codec.encodeTile(image))
  t.is(decoded.data.length, image.data.length)
})

/** The names and shapes of a checkpoint, with zeros. */
function zeros(weights: ReadonlyMap<string, readonly number[]>): Map<string, Weights> {
  return new Map(
    Array.from(weights, ([name, shape]) => [
      name,
      { shape, data: new Float32Array(shape.reduce((product, side) => product * side, 1)) },
    ]),
  )
}

ava('what is none of MLIC++ is refused by the names of its layers', (t) => {
  t.false(isMlicpp(['g_a.0.weight', 'entropy_bottleneck.quantiles']))
  t.false(isWeight('gaussian_conditional.scale_table'))
  t.false(isWeight('g_s.synthesis_transform.1.igdn.beta_reparam.lower_bound.bound'))
  t.true(isWeight('g_s.synthesis_transform.1.igdn.beta'))
  const refused = (state: ReadonlyMap<string, readonly number[]>, message: RegExp) =>
    t.throws(() => fromMlicpp(zeros(state)), { code: 'ERR_MODEL_UNSUPPORTED', message })
  refused(new Map([['g_a.analysis_transform.0.conv1.weight', [16, 3, 3, 3]]]), /its latent has 0 slices/)
  const some = new Map<string, readonly number[]>([
    ['g_a.analysis_transform.0.conv1.weight', [16, 3, 3, 3]],
    ['local_context.0.proj.weight', [64, 64]],
    ['local_context.1.proj.weight', [64, 64]],
  ])
  refused(some, /it has no layer g_a.analysis_transform.6/)
  for (const [name, shape] of [
    ['g_a.analysis_transform.6.weight', [64, 16, 3, 3]],
    ['h_a.reduction.8.weight', [16, 16, 3, 3]],
    ['h_s.increase.0.weight', [64, 16, 3, 3]],
    ...[0, 2].map((k) => [`channel_context.1.fushion.${k}.weight`, [8, 8, 3, 3]] as const),
    ...[0, 2, 4].map((k) => [`entropy_parameters_anchor.0.fusion.${k}.weight`, [8, 8, 1, 1]] as const),
    ...[0, 2].map((k) => [`lrp_anchor.0.lrp_transform.${k}.weight`, [8, 8, 3, 3]] as const),
  ] as const) {
    some.set(name, shape)
  }
  refused(some, /it lacks layers of MLIC\+\+: entropy_bottleneck\.quantiles, .* and \d+ more$/)
  some.set('g_a.attention.weight', [1])
  refused(some, /it has layers that aren't MLIC\+\+'s: g_a.attention.weight$/)
})
