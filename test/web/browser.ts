/** A page of cleric/web in a real Chromium, for tests: headless, with WebGPU by SwiftShader where there is no GPU. */
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type ExecutionContext, type Implementation } from 'ava'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const CHROMIUM = process.env.CLERIC_CHROMIUM ?? '/usr/bin/chromium'
const ARGUMENTS = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader']
const WITHOUT_WEBGPU = ['--no-sandbox', '--disable-features=WebGPU', '--disable-blink-features=WebGPU']

export const bundle = new URL('../../dist/web/cleric-web.js', import.meta.url)

declare global {
  /** What the page has imported. */
  var cleric: typeof import('../../src/web/index.js')
  /** What an address has. */
  var bytesOf: (address: string) => Promise<Uint8Array<ArrayBuffer>>
  /** The code of the error that a call rejects with, or what the error says. */
  var codeOf: (call: Promise<unknown>) => Promise<string>
}

/** Ubuntu's package of Chromium is a snap, which its containers can't run. */
function isDebian(): boolean {
  return existsSync('/etc/os-release') && /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'))
}

/** ava's test, skipped visibly where there is no Chromium, but for continuous integration on Debian. */
export function testInBrowser(title: string, run: Implementation<[]>): void {
  if (existsSync(CHROMIUM) || (process.env.CI === 'true' && isDebian())) test.serial(title, run)
  else test.serial.skip(`${title} (needs ${CHROMIUM}, or another that CLERIC_CHROMIUM names)`, run)
}

const PAGE = `<!doctype html><link rel="icon" href="data:,">
<script type="module">
  import * as cleric from '/cleric-web.js'
  globalThis.cleric = cleric
  globalThis.bytesOf = async (address) => new Uint8Array(await (await fetch(address)).arrayBuffer())
  globalThis.codeOf = (call) => call.then(() => 'none', (error) => error.code ?? error.name + ': ' + error.message)
</script>`

/** Serves files by their paths, and ranges of them. */
async function serve(t: ExecutionContext, files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    const bytes = path === '/' ? new TextEncoder().encode(PAGE) : files.get(path)
    if (!bytes) return void response.writeHead(404).end()
    const type = path === '/' || path.endsWith('.html') ? 'text/html' : 'text/javascript'
    const headers = { 'content-type': path.endsWith('.js') || type === 'text/html' ? type : 'application/octet-stream' }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    if (first === undefined) return void response.writeHead(200, headers).end(bytes)
    const end = Math.min(Number(last) + 1, bytes.length)
    const range = `bytes ${first}-${end - 1}/${bytes.length}`
    response.writeHead(206, { ...headers, etag: '"1"', 'content-range': range }).end(bytes.subarray(Number(first), end))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/**
 * Opens a page that has imported cleric/web. Whatever it writes to the console fails the test.
 *
 * @param files that its server has, beside cleric/web itself
 */
export async function openPage(t: ExecutionContext, files: ReadonlyMap<string, Uint8Array>, path = '/'): Promise<Page> {
  const origin = await serve(t, new Map([...files, ['/cleric-web.js', readFileSync(bundle)]]))
  return openAddress(t, origin + path)
}

/** One for all tests of a file: it takes a second or two to start, and far longer on a busy machine. */
const browsers = new Map<'WebGPU' | 'no WebGPU', Promise<Browser>>()
test.after.always(async () => {
  for (const browser of browsers.values()) await (await browser).close()
})

export interface PageOptions extends BrowserContextOptions {
  /** Opens it in a browser that has no WebGPU. */
  readonly hasNoGpu?: boolean
}

/** Opens any page, with nothing kept of earlier ones. Whatever it writes to the console fails the test. */
export async function openAddress(
  t: ExecutionContext,
  address: string,
  { hasNoGpu = false, ...options }: PageOptions = {},
): Promise<Page> {
  const kind = hasNoGpu ? 'no WebGPU' : 'WebGPU'
  const args = hasNoGpu ? WITHOUT_WEBGPU : ARGUMENTS
  const browser = browsers.get(kind) ?? chromium.launch({ executablePath: CHROMIUM, args, timeout: 120_000 })
  browsers.set(kind, browser)
  const context = await (await browser).newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(240_000)
  const complaints: string[] = []
  page.on('console', (message) => {
    // Addresses of this name are asked for although they are absent, which Chromium reports; and so it does what slows WebGL.
    const isExpected = /[/=]absent/.test(message.location().url) || message.text().includes('GL Driver Message')
    if (!isExpected) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  t.teardown(() => {
    if (complaints.length > 0) throw new Error(`the page wrote to its console: ${complaints.join('; ')}`)
  })
  await page.goto(address)
  return page
}
