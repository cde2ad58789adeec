/** Addresses of archives and models, as pages name them. */
import { type OptionChecks, outOfRange, wrongType } from '../arguments.js'

/** Which model decodes. */
export interface ModelChoice {
  /**
   * Address of the model file, relative to the page. Default: `models/cleric-s.safetensors` of the package that this file
   * came from, two folders above it.
   */
  readonly model?: string | URL | undefined
}

export const MODEL_CHECK: OptionChecks<ModelChoice> = {
  model: (value, name) => void locate(value as string | URL, name),
}

/** The whole address of what the page names. */
export function locate(value: string | URL, name: string): string {
  if (!(value instanceof URL || typeof value === 'string')) throw wrongType('a URL', name, value)
  const base = globalThis.document?.baseURI ?? globalThis.location?.href
  if (!URL.canParse(String(value), base)) throw outOfRange('a URL', name, value)
  const { href, protocol } = new URL(value, base)
  if (protocol !== 'http:' && protocol !== 'https:') throw outOfRange('an http(s) URL', name, href)
  return href
}

/** The options with the whole address of the model. */
export function located<T extends ModelChoice>(options: T): Omit<T, 'model'> & { readonly model?: string | undefined } {
  const { model } = options
  return { ...options, model: model === undefined ? undefined : locate(model, 'model') }
}

/** An archive's whole address, or the Blob that it is. */
export function checkSource(source: string | URL | Blob, name: string): string | Blob {
  return source instanceof Blob ? source : locate(source, name)
}
