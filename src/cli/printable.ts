/**
 * Texts from files, as they are printed. A terminal obeys control characters, whoever wrote them: a name could wipe the
 * screen, or make a bad result look like a good one.
 */

/** Control characters, and those that turn the direction of the text around them. */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/**
 * Text of several lines with an escape, as JavaScript has it, in place of each character that isn't to be printed.
 *
 * @example
 * printable('\u001b[2Jname') // '\\x1b[2Jname'
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => (character === '\n' ? character : escaped(character)))
}

/** Likewise one line: of a line break, too, there is an escape. */
export function oneLine(text: string): string {
  return text.replace(UNPRINTABLE, escaped)
}

/** JSON likewise; it means the same. Such characters are in its strings only. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => (character === '\n' ? character : unicodeEscape(character)))
}

function escaped(character: string): string {
  if (character === '\n') return '\\n'
  const code = character.charCodeAt(0)
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : unicodeEscape(character)
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
