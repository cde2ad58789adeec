/** Figures for Prometheus, and the example files that run workers: what they name is there. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { createCli } from '../../src/cli/commands.js'
import { WorkerMetrics } from '../src/metrics.js'
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

test('the dashboard asks for figures that workers give', async (t) => {
  const metrics = new WorkerMetrics(async () => ({}))
  const given = (await metrics.registry.getMetricsAsJSON()).map(({ name }) => name)
  const { panels } = JSON.parse(read('dashboard.json')) as { panels: { targets: { expr: string }[] }[] }
  const asked = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/cleric_\w+/g) ?? []))
  t.true(asked.length >= panels.length)
  for (const name of asked) t.true(given.includes(name.replace(/_bucket$/, '')), name)
})

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

test('the manifest for Kubernetes is YAML, and its workers are called as the command line has it', async (t) => {
  const script = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))'
  const { status, stdout } = spawnSync('/usr/bin/python3', ['-c', script], {
    input: read('kubernetes.yaml'),
    encoding: 'utf8',
  })
  if (status !== 0) return t.log('skipped: no python3-yaml here')
  const { kind, spec } = JSON.parse(stdout)
  t.is(kind, 'Deployment')
  const [worker] = spec.template.spec.containers
  t.deepEqual(await unknown(worker.args), [])
  t.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels)
  const volumes = spec.template.spec.volumes.map(({ name }: { name: string }) => name)
  for (const { name } of worker.volumeMounts) t.true(volumes.includes(name), name)
})

test('the Dockerfile copies and installs what is there', (t) => {
  const lines = read('Dockerfile')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  for (const line of lines) t.regex(line, /^(FROM|WORKDIR|COPY|RUN|USER|ENTRYPOINT|CMD) /)
  for (const [, list = ''] of read('Dockerfile').matchAll(/^(?:ENTRYPOINT|CMD) (.*)$/gm))
    t.true(Array.isArray(JSON.parse(list)))
})
