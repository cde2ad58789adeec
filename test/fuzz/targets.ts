/** Every parser of bytes that anyone may have written, with inputs to begin with. */
import { archiveTarget } from './archive-target.js'
import type { Target } from './fuzz.js'
import { modelTarget, pickleTarget, safetensorsTarget, zipTarget } from './model-targets.js'
import { requestsTarget } from './requests-target.js'
import { hostsTarget, iiifTarget } from './server-targets.js'
import { dicomTarget, iccTarget, omeTarget, tiffTarget } from './slide-targets.js'
import { journalTarget, jsonTarget, rangesTarget, tileTarget } from './small-targets.js'

export const TARGETS: Readonly<Record<string, Target>> = {
  archive: archiveTarget,
  description: jsonTarget,
  dicom: dicomTarget,
  hosts: hostsTarget,
  icc: iccTarget,
  iiif: iiifTarget,
  journal: journalTarget,
  model: modelTarget,
  ome: omeTarget,
  pickle: pickleTarget,
  ranges: rangesTarget,
  requests: requestsTarget,
  safetensors: safetensorsTarget,
  tiff: tiffTarget,
  tile: tileTarget,
  zip: zipTarget,
}
