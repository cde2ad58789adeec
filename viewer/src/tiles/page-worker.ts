/** The worker that decodes for all of the page, and whether it can. */
import type { SlideWorker } from '../../../src/web/index.js'

/** Lies beside the page; it is module and worker in one, so it is no part of the page's own bundle. */
const LIBRARY = 'cleric-web.js'

/** Who is to decode, as the page's address may say: `?decode=browser` also takes a software adapter, which is slow. */
export function wantedDecoder(): 'browser' | 'server' | null {
  const wanted = new URLSearchParams(location.search).get('decode')
  return wanted === 'browser' || wanted === 'server' ? wanted : null
}

let worker: Promise<SlideWorker> | null = null

export function pageWorker(): Promise<SlideWorker> {
  worker ??= start()
  // What failed is tried again by the next slide.
  worker.catch(() => {
    worker = null
  })
  return worker
}

/** A worker whose adapter is worth to be used instead of a server; else why there is none. */
export async function capableWorker(): Promise<SlideWorker | string> {
  try {
    const found = await pageWorker()
    const { name, software } = await found.adapter()
    if (!software || wantedDecoder() === 'browser') return found
    return `WebGPU of this browser computes on the processor (${name}), which takes a minute a tile`
  } catch (error) {
    return (error as Error).message
  }
}

async function start(): Promise<SlideWorker> {
  const library = (await import(new URL(LIBRARY, document.baseURI).href)) as typeof import('../../../src/web/index.js')
  return new library.SlideWorker()
}
