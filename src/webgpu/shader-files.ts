/** The files of shaders/, read when they are first needed. */
import { readFileSync } from 'node:fs'

const FOLDER = new URL('../../shaders/', import.meta.url)
const texts = new Map<string, string>()

/** Text of a file in shaders/. */
export function readShader(file: string): string {
  let text = texts.get(file)
  if (text === undefined) {
    text = readFileSync(new URL(file, FOLDER), 'utf8')
    texts.set(file, text)
  }
  return text
}
