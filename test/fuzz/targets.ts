/** Every parser of bytes that anyone may have written, with inputs to begin with. */
import { archiveTarget } from './archive-target.js'
import type { Target } from './fuzz.js'
import { modelTarget, pickleTarget, safetensorsTarget, zipTarget } from './model-targets.js'
import { iccTarget, omeTarget, tiffTarget } from './slide-targets.js'
import { journalTarget, jsonTarget, rangesTarget, tileTarget } from './small-targets.js'
import { urlsTarget } from './urls-target.js'

export const TARGETS: Readonly<Record<string, Target>> = {
  archive: archiveTarget,
  description: jsonTarget,
  icc: iccTarget,
  journal: journalTarget,
  model: modelTarget,
  ome: omeTarget,
  pickle: pickleTarget,
  ranges: rangesTarget,
  safetensors: safetensorsTarget,
  tiff: tiffTarget,
  tile: tileTarget,
  urls: urlsTarget,
  zip: zipTarget,
}
