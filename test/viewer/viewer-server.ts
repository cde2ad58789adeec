/** A server of the viewer with drawn slides, and its page in a browser, for tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { compressSlide } from '../../src/compress/compress.js'
import { createViewerServer } from '../../src/server/server.js'
import type { SlideSource } from '../../src/slide/source.js'
import { losslessCodec } from '../payload-codec.js'
import { openAddress } from '../web/browser.js'

export interface Viewer {
  readonly folder: string
  readonly origin: () => string
  /** Opens the page with this after the "#", and waits for the slide if one is named. */
  open(t: ExecutionContext, hash?: string, options?: BrowserContextOptions): Promise<Page>
}

/** Compresses slides without loss before the tests of a file, and serves them to all of these. */
export function serveViewer(
  slides: Readonly<Record<string, SlideSource | string>>,
  beforeAll: (folder: string) => Promise<void> = async () => {},
): Viewer {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-viewer-'))
  const codec = losslessCodec()
  let server: Awaited<ReturnType<typeof createViewerServer>> | undefined
  let origin = ''
  test.before(async () => {
    for (const [name, slide] of Object.entries(slides)) {
      const path = join(folder, `${name}.cleric.tif`)
      if (typeof slide === 'string') writeFileSync(path, slide)
      else await compressSlide(slide, path, { codec })
    }
    await beforeAll(folder)
    server = await createViewerServer(folder, { codec })
    await server.listen({ host: '127.0.0.1', port: 0 })
    origin = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
  })
  test.after.always(async () => {
    await server?.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    folder,
    origin: () => origin,
    async open(t, hash = '', options = {}) {
      t.timeout(300_000)
      const page = await openAddress(t, `${origin}/${hash}`, {
        viewport: { width: 1200, height: 800 },
        // Views are where they are told to be at once.
        reducedMotion: 'reduce',
        ...options,
      })
      page.setDefaultTimeout(60_000)
      return page
    },
  }
}

/** Waits until the slide is on the page and none of its tiles is missing. */
export async function settled(page: Page): Promise<void> {
  await page.locator('#scale').waitFor()
  await page.waitForFunction(() => location.hash.includes('@'))
  await page.waitForTimeout(400)
  await page.locator('#progress').waitFor({ state: 'hidden' })
}

/** The middle of the stage, in CSS pixels of the page. */
export async function middle(page: Page): Promise<{ x: number; y: number }> {
  const { x, y, width, height } = (await page.locator('#view').boundingBox()) as {
    x: number
    y: number
    width: number
    height: number
  }
  return { x: x + width / 2, y: y + height / 2 }
}
