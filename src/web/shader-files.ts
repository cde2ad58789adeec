/** The files of shaders/ in a bundle, in place of `src/webgpu/shader-files.ts`. */

/** Texts by file name, which `scripts/web-bundle.ts` fills in. */
declare const CLERIC_SHADERS: Readonly<Record<string, string>>

export function readShader(file: string): string {
  const text = CLERIC_SHADERS[file]
  if (text === undefined) throw new RangeError(`no shader ${file}`)
  return text
}
