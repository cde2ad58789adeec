/** A Redis of a test's own, on a socket in its folder, that keeps what it is given through a kill. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../src/queue.js'

export const hasRedis = spawnSync('redis-server', ['--version']).status === 0

export class TestRedis implements AsyncDisposable {
  readonly url: string
  readonly #folder: string
  #server: ChildProcess | null = null

  private constructor(folder: string) {
    this.#folder = folder
    this.url = `unix://${join(folder, 'redis.sock')}`
  }

  static async start(folder: string): Promise<TestRedis> {
    const redis = new TestRedis(folder)
    await redis.start()
    return redis
  }

  async start(): Promise<void> {
    const files = ['--dir', this.#folder, '--unixsocket', join(this.#folder, 'redis.sock'), '--port', '0']
    const keeps = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
    this.#server = spawn('redis-server', [...files, ...keeps], { stdio: 'ignore' })
    for (let tries = 0; ; tries++) {
      const client = connect(this.url)
      try {
        await client.connect()
        if ((await client.ping()) === 'PONG') return
      } catch (error) {
        if (tries > 600) throw error
      } finally {
        client.disconnect()
      }
      await sleep(50)
    }
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (!server || server.exitCode !== null) return
    server.kill('SIGKILL')
    await once(server, 'exit')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}
