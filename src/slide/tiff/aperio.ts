/** What the ImageDescription of a slide of Aperio says about it, as OpenSlide reads it. */
import { sensible } from '../resolution.js'
import type { VendorFacts } from './tiff-slide.js'

/** "Aperio Image Library ...|AppMag = 20|MPP = 0.4990|..." */
export function aperioFacts(description: string): VendorFacts {
  const pairs = description
    .split('|')
    .slice(1)
    .flatMap((piece): [string, string][] => {
      const at = piece.indexOf('=')
      return at < 0 ? [] : [[piece.slice(0, at).trim(), piece.slice(at + 1).trim()]]
    })
  const said = new Map(pairs)
  const number = (key: string) => {
    const value = Number(said.get(key) ?? Number.NaN)
    return Number.isFinite(value) && value > 0 ? value : null
  }
  const [mpp, power] = [number('MPP'), number('AppMag')]
  const known = {
    'openslide.vendor': 'aperio',
    'openslide.comment': description,
    ...(mpp !== null && { 'openslide.mpp-x': String(mpp), 'openslide.mpp-y': String(mpp) }),
    ...(power !== null && { 'openslide.objective-power': String(power) }),
  }
  const named = Object.fromEntries([...said].map(([key, value]) => [`aperio.${key}`, value]))
  return {
    format: 'aperio',
    mpp: mpp === null ? null : sensible({ x: mpp, y: mpp }),
    objectivePower: power,
    properties: { ...named, ...known },
  }
}
