/** `cleric serve` with a browser that decodes: its tiles are the server's, and where it can't decode the server does. */
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import sharp from 'sharp'
import { compressSlide } from '../../src/compress/compress.js'
import { type Codec, openArchive, openCodec } from '../../src/index.js'
import { createViewerServer } from '../../src/server/server.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { nanoModelFile } from '../network/golden.js'
import { memorySlide } from '../slides.js'
import { openAddress, type PageOptions, testInBrowser } from '../web/browser.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-decoded-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const model = fileURLToPath(nanoModelFile)
const [WIDTH, HEIGHT] = [700, 500]
let codec: Codec
let server: Awaited<ReturnType<typeof createViewerServer>>
let origin: string

test.before(async () => {
  codec = await openCodec({ model, device: 'cpu' })
  using drawn = new SyntheticSlide(`synthetic:${WIDTH}x${HEIGHT}:4`)
  const whole = await drawn.readRegion({ x: 0, y: 0, level: 0, width: WIDTH, height: HEIGHT })
  await compressSlide(memorySlide([whole]), join(folder, 'a.cleric.tif'), { codec, tile: 256, background: 'keep' })
  server = await createViewerServer(folder, { model, device: 'cpu' })
  await server.listen({ host: '127.0.0.1', port: 0 })
  origin = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
})
test.after.always(async () => {
  codec.close()
  await server.close()
})

async function openViewer(t: ExecutionContext, query: string, options: PageOptions = {}) {
  const asked: string[] = []
  const page = await openAddress(t, 'about:blank', { viewport: { width: 1000, height: 700 }, ...options })
  page.on('request', (request) => asked.push(new URL(request.url()).pathname))
  await page.goto(`${origin}/${query}#a.cleric.tif@350,250,1`)
  await page.locator('#badge').getByText('decoded by').waitFor()
  for (let quiet = 0; quiet < 6; ) {
    await page.waitForTimeout(250)
    quiet = (await page.locator('#progress').isHidden()) ? quiet + 1 : 0
  }
  const box = (await page.locator('#view').boundingBox()) as { x: number; y: number; width: number; height: number }
  const [x, y] = [Math.round(box.x + box.width / 2) - 100, Math.round(box.y + box.height / 2) - 100]
  const shot = await page.screenshot({ clip: { x, y, width: 200, height: 200 } })
  const shown = await sharp(shot).removeAlpha().raw().toBuffer()
  using archive = await openArchive(join(folder, 'a.cleric.tif'), { codec })
  const { data } = await archive.readRegion({ x: 250, y: 150, level: 0, width: 200, height: 200 })
  const error = data.reduce((sum, value, i) => sum + Math.abs(value - (shown[i] as number)), 0) / data.length
  const badge = page.locator('#badge')
  return { page, asked, error, badge: await badge.textContent(), why: (await badge.getAttribute('title')) ?? '' }
}

testInBrowser('a browser with WebGPU reads the archive by ranges and decodes it, and asks for no tile', async (t) => {
  t.timeout(300_000)
  const { page, asked, error, badge, why } = await openViewer(t, '?decode=browser')
  t.is(badge, 'decoded by the browser', why)
  t.true(error < 2, `mean error ${error}`)
  t.true(asked.includes('/files/a.cleric.tif'))
  t.false(asked.some((path) => path.startsWith('/deepzoom/')))
  // Each pixel of a tile differs by 1 at most from what the server has of it, of which PNG loses nothing.
  const worst = await page.evaluate(async (hash) => {
    const { SlideWorker } = (await import('/cleric-web.js' as string)) as typeof import('../../src/web/index.js')
    const worker = new SlideWorker()
    const slide = await worker.open('files/a.cleric.tif', { model: `models/${hash}.safetensors` })
    const pixels = [slide.tile(10, 1, 0), slide.tile(9, 0, 0)].map(async (tile) => (await tile)?.bitmap as ImageBitmap)
    const pngs = ['10/1_0', '9/0_0'].map(async (place) => {
      const answer = await fetch(`deepzoom/a.cleric.tif_files/${place}.png?icc=srgb`)
      return createImageBitmap(await answer.blob())
    })
    const images = (await Promise.all([...pixels, ...pngs])).map((bitmap) => {
      const { width, height } = bitmap
      const context = new OffscreenCanvas(width, height).getContext('2d', {
        willReadFrequently: true,
      }) as OffscreenCanvasRenderingContext2D
      context.drawImage(bitmap, 0, 0)
      return context.getImageData(0, 0, width, height).data
    })
    return [0, 1].map((at) => {
      const [own, served] = [images[at] as Uint8ClampedArray, images[at + 2] as Uint8ClampedArray]
      if (own.length !== served.length) return 255
      return own.reduce((most, value, i) => Math.max(most, Math.abs(value - (served[i] as number))), 0)
    })
  }, codec.model.hash)
  t.true(Math.max(...worst) <= 1, worst.join(', '))
})

testInBrowser('a software adapter leaves the tiles to the server, and so does a browser without WebGPU', async (t) => {
  t.timeout(300_000)
  for (const [options, why] of [
    [{}, /computes on the processor/],
    [{ hasNoGpu: true }, /WebGPU/],
  ] as const) {
    const found = await openViewer(t, '', options)
    t.is(found.badge, 'decoded by the server')
    t.regex(found.why, why)
    // The server sends JPEG.
    t.true(found.error < 8, `mean error ${found.error}`)
    t.true(found.asked.some((path) => path.startsWith('/deepzoom/')))
    t.false(found.asked.some((path) => path.startsWith('/models/')))
  }
})

testInBrowser('a model that can not be had is no reason to show nothing: the server decodes', async (t) => {
  t.timeout(300_000)
  const page = await openAddress(t, 'about:blank')
  await page.route(/\/models\//, (route) => route.fulfill({ status: 200, body: 'no model' }))
  await page.goto(`${origin}/?decode=browser#a.cleric.tif`)
  await page.locator('#badge').getByText('decoded by the server').waitFor()
  t.true(((await page.locator('#badge').getAttribute('title')) ?? '').length > 10)
})
