/** A server in a process of its own under load, for `scripts/load-test.ts` and a short test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { TYPESCRIPT } from '../typescript.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

export class RunningServer implements AsyncDisposable {
  readonly address: string
  readonly #process: ChildProcess

  private constructor(address: string, process: ChildProcess) {
    this.address = address
    this.#process = process
  }

  /** `cleric serve` of a path, on any port. */
  static async start(path: string, ...options: string[]): Promise<RunningServer> {
    const argv = [TYPESCRIPT, 'src/cli/main.ts', 'serve', path, '--port', '0', '--json', ...options]
    const child = spawn(process.execPath, argv, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })
    const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit')])) as [unknown]
    if (typeof line !== 'string') throw new Error(`The server ended with ${line}`)
    return new RunningServer((JSON.parse(line) as { address: string }).address, child)
  }

  /** Whether the process is there still. */
  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Bytes of memory that the process has now, on Linux. */
  get memory(): number {
    const [, kibibytes = 'NaN'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.#process.pid}/status`, 'utf8')) ?? []
    return 1024 * Number(kibibytes)
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.isAlive) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await ended
  }
}

export interface Load {
  readonly requests: number
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly worst: number
  /** Answers that are no success, and requests without an answer. */
  readonly failures: number
}

/** Clients that ask for these paths, one after the other, over and over, each as soon as it has an answer. */
export async function hammer(
  address: string,
  paths: readonly string[],
  clients: number,
  seconds: number,
): Promise<Load> {
  const result = await autocannon({
    url: address,
    connections: clients,
    duration: seconds,
    timeout: 60,
    requests: paths.map((path) => ({ path })),
  })
  const { requests, latency, errors, non2xx } = result
  return {
    requests: requests.total,
    perSecond: requests.average,
    p50: latency.p50,
    p99: latency.p99,
    worst: latency.max,
    failures: errors + non2xx,
  }
}

/** Asks once for each of the paths, so many at a time; no client asks twice for the same. */
export async function askOnce(address: string, paths: readonly string[], clients: number): Promise<Load> {
  const waiting = [...paths]
  const times: number[] = []
  let failures = 0
  const started = performance.now()
  const client = async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      const asked = performance.now()
      const answer = await fetch(address + path).catch(() => null)
      await answer?.arrayBuffer().catch(() => null)
      times.push(performance.now() - asked)
      if (!answer?.ok) failures++
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  const seconds = (performance.now() - started) / 1000
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? Number.NaN
  return {
    requests: times.length,
    perSecond: times.length / seconds,
    p50: at(0.5),
    p99: at(0.99),
    worst: at(1),
    failures,
  }
}

/** Opens connections that send a header every second and never end their request; resolves when all are cut off. */
export async function dawdle(address: string, clients: number): Promise<void> {
  const { hostname, port } = new URL(address)
  const one = () =>
    new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname)
      socket.write('GET /slides HTTP/1.1\r\nHost: localhost\r\n')
      const timer = setInterval(() => socket.write('X-A: b\r\n'), 1000)
      const end = () => {
        clearInterval(timer)
        socket.destroy()
        resolve()
      }
      socket.on('close', end).on('error', end).resume()
    })
  await Promise.all(Array.from({ length: clients }, one))
}

/** Paths that lead out of a folder, or ask for far too much, as attackers write them. */
export const HOSTILE = [
  ...[
    '/files/../../../../etc/passwd',
    '/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/files/..%5c..%5cetc/passwd',
    '/files//etc/passwd',
  ],
  ...[
    '/deepzoom/../../etc/passwd.dzi',
    '/slide?name=../../etc/passwd',
    '/slide?name=%00',
    '/files/%00.cleric.tif',
    '/..%2f..%2fpackage.json',
  ],
  ...[
    '/iiif/3/..%2F..%2Fetc%2Fpasswd/info.json',
    '/thumbnail/x?size=99999999',
    '/iiif/3/x/full/^99999,99999/0/default.jpg',
  ],
  ...[
    '/%E0%A4%A',
    '/%',
    `/files/${'a/'.repeat(3000)}`,
    `/slide?name=${'x'.repeat(12_000)}`,
    '/deepzoom/x_files/31/9999999_9999999.png',
  ],
]
