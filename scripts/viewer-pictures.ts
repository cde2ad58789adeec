/**
 * Makes docs/viewer.webp and docs/viewer-compare.webp: the viewer in Chromium, with slides that cleric draws itself. Needs
 * `npm run build:viewer` and Chromium (CLERIC_CHROMIUM, or Debian's).
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import sharp from 'sharp'
import { compressSlide } from '../src/compress/compress.js'
import { createViewerServer } from '../src/server/server.js'
import { SyntheticSlide } from '../src/slide/synthetic.js'
import { losslessCodec } from '../test/payload-codec.js'

const SIZE = { width: 1280, height: 760 }
const docs = fileURLToPath(new URL('../docs/', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'cleric-pictures-'))
const codec = losslessCodec()
for (const seed of [4, 5, 6]) {
  await compressSlide(new SyntheticSlide(`synthetic:3000x2000:${seed}`), join(folder, `slide-${seed}.cleric.tif`), {
    codec,
  })
}
const server = await createViewerServer(folder, { codec })
await server.listen({ host: '127.0.0.1', port: 0 })
const origin = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
const executablePath = process.env.CLERIC_CHROMIUM ?? '/usr/bin/chromium'
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })

async function open(hash: string, colorScheme: 'light' | 'dark') {
  const page = await browser.newPage({ viewport: SIZE, colorScheme, reducedMotion: 'reduce' })
  await page.goto(`${origin}/${hash}`)
  await page.locator('#scale').waitFor()
  await page.waitForLoadState('networkidle')
  return page
}

async function save(picture: Buffer, name: string): Promise<void> {
  const path = join(docs, name)
  await sharp(picture).webp({ quality: 75, effort: 6 }).toFile(path)
  console.log(`docs/${name}: ${statSync(path).size} bytes`)
}

const details = await open('#slide-4.cleric.tif@1500,1000,0.4', 'light')
await details.keyboard.press('i')
await details.locator('#details-images img').first().waitFor()
await details.waitForLoadState('networkidle')
await save(await details.screenshot(), 'viewer.webp')

const compare = await open('#slide-4.cleric.tif@1500,1000,1', 'dark')
await compare.keyboard.press('k')
await compare.locator('#second canvas').first().waitFor()
await compare.locator('#compare-form [value=line]').evaluate((input: HTMLInputElement) => {
  input.checked = true
  input.dispatchEvent(new Event('change', { bubbles: true }))
})
await compare.keyboard.press('a')
for (const [x, y] of [
  [420, 250],
  [600, 230],
  [640, 400],
  [450, 430],
] as const) {
  await compare.mouse.click(x, y)
}
await compare.keyboard.press('Enter')
await compare.waitForLoadState('networkidle')
await compare.waitForTimeout(3000)
await save(await compare.screenshot(), 'viewer-compare.webp')

await browser.close()
await server.close()
rmSync(folder, { recursive: true, force: true })
