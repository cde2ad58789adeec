/** Figures for Prometheus, and the example files that run workers: what they name is there. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parser } from '@prometheus-io/lezer-promql'
import test from 'ava'
import { validate } from 'dockerfile-utils'
import { parseDocument } from 'yaml'
import { createCli } from '../../src/cli/commands.js'
import { FarmMetrics, WorkerMetrics } from '../src/metrics.js'
import { serveMetrics } from '../src/web.js'

const path = (name: string) => fileURLToPath(new URL(`../deploy/${name}`, import.meta.url))
const read = (name: string) => readFileSync(path(name), 'utf8')

test('a worker counts what it did', async (t) => {
  const metrics = new WorkerMetrics(async () => ({ waiting: 5 }))
  const row = {
    ...{ source: 'a.svs', archive: 'a.cleric.tif', state: 'done', replaces: null, device: 'cpu', seconds: 2 },
    ...{ sourceBytes: 1000, sourceModified: 0, settings: '', warnings: [], error: null, version: '1' },
    result: { bytes: 100, tiles: 7 },
  } as never
  metrics.note({ kind: 'begun', source: 'a.svs' })
  metrics.note({ kind: 'begun', source: 'b.svs' })
  metrics.note({ kind: 'done', source: 'a.svs', row })
  metrics.note({ kind: 'trouble', message: 'Redis is away' })
  const server = await serveMetrics(metrics, { port: 0, host: '127.0.0.1' })
  const response = await fetch(`${server.listeningOrigin}/metrics`)
  t.regex(response.headers.get('content-type') as string, /^text\/plain; version=0\.0\.4/)
  const text = await response.text()
  for (const line of [
    'cleric_farm_slides_total{outcome="done"} 1',
    'cleric_farm_source_bytes_total 1000',
    'cleric_farm_archive_bytes_total 100',
    'cleric_farm_tiles_total 7',
    'cleric_farm_active 1',
    'cleric_farm_jobs{state="waiting"} 5',
    'cleric_farm_slide_seconds_bucket{le="5"} 1',
  ]) {
    t.true(text.split('\n').includes(line), line)
  }
  await server.close()
})

test('the dashboard asks for figures that workers give, in expressions that Prometheus takes', async (t) => {
  const metrics = new WorkerMetrics(async () => ({}))
  const given = [
    ...(await metrics.registry.getMetricsAsJSON()),
    ...(await new FarmMetrics().registry.getMetricsAsJSON()),
  ]
  const names = given.map(({ name }) => name)
  const { panels } = JSON.parse(read('dashboard.json')) as { panels: { targets: { expr: string }[] }[] }
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  const asked = expressions.flatMap((expr) => expr.match(/cleric_\w+/g) ?? [])
  t.true(asked.length >= panels.length)
  for (const name of asked) t.true(names.includes(name.replace(/_bucket$/, '')), name)
  for (const expr of expressions) t.true(isPromQl(expr), expr)
  t.false(isPromQl('sum(rate(x[1h])'))
})

function isPromQl(expression: string): boolean {
  let isSound = true
  parser.parse(expression).iterate({
    enter: ({ type }) => {
      if (type.isError) isSound = false
    },
  })
  return isSound
}

/** Those of the options that `farm work --help` doesn't know; "farm work" itself, if it isn't what is called. */
async function unknown([group, command, ...options]: readonly string[]): Promise<string[]> {
  let help = ''
  const io = { stdout: { write: (text: string) => (help += text) }, stderr: { write: () => true } }
  await createCli(io).run(['farm', 'work', '--help'])
  const names = options.filter((option) => option.startsWith('--') && !new RegExp(`${option}\\b`).test(help))
  return group === 'farm' && command === 'work' ? names : ['farm work', ...names]
}

test('the unit of systemd is sound', async (t) => {
  const unit = read('cleric-worker@.service')
  const [, command = ''] = /^ExecStart=\S+ (.*)$/m.exec(unit) ?? []
  t.deepEqual(await unknown(command.split(' ')), [])
  const found = spawnSync('systemd-analyze', ['verify', path('cleric-worker@.service')], { encoding: 'utf8' })
  if (found.error) return t.log('skipped: no systemd-analyze here')
  const others = found.stderr
    .split('\n')
    .filter((line) => /cleric-worker/.test(line) && !/is not executable/.test(line))
  t.deepEqual(others, [])
})

test('the manifest for Kubernetes has the fields that Kubernetes knows, and calls workers as the command line has it', async (t) => {
  const document = parseDocument(read('kubernetes.yaml'))
  t.deepEqual([...document.errors, ...document.warnings], [])
  const manifest = document.toJS()
  const { kind, spec } = manifest
  t.is(kind, 'Deployment')
  const [worker] = spec.template.spec.containers
  t.deepEqual(await unknown(worker.args), [])
  t.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels)
  const volumes = spec.template.spec.volumes.map(({ name }: { name: string }) => name)
  for (const { name } of worker.volumeMounts) t.true(volumes.includes(name), name)
  t.deepEqual(faultsOf(manifest), [])
  const misspelt = structuredClone(manifest)
  misspelt.spec.template.spec.containers[0].volumeMount = []
  t.regex(faultsOf(misspelt).join(), /volumeMount/)
})

/** What TypeScript says of a deployment that is written down as one of Kubernetes' own types. */
function faultsOf(manifest: object): string[] {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  // In the project, so that the types are found.
  const folder = mkdtempSync(join(root, 'node_modules', '.cleric-manifest-'))
  try {
    const file = join(folder, 'manifest.ts')
    const code = `import type { Deployment } from 'kubernetes-types/apps/v1'\nexport const it: Deployment = ${JSON.stringify(manifest)}\n`
    writeFileSync(file, code)
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      '--types',
      '',
      file,
    ]
    const { stdout } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...options], {
      encoding: 'utf8',
    })
    return stdout.split('\n').filter((line) => line !== '')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('the Dockerfile is sound, and copies what is there', (t) => {
  const text = read('Dockerfile')
  const found = validate(text).map(({ range, message }) => `line ${range.start.line + 1}: ${message}`)
  t.deepEqual(found, [])
  t.true(validate(`${text}\nCOPPY . .\n`).length > 0)
  const commands = [...text.matchAll(/^(?:ENTRYPOINT|CMD) (.*)$/gm)]
  t.is(commands.length, 2)
  for (const [, list = ''] of commands) t.true(Array.isArray(JSON.parse(list)))
})
