/** Files that are dropped anywhere on the page, or picked with the button beside the list. */
import { formatPlace } from './address.js'
import { element, messageOf, say } from './page.js'
import type { ShelfWithFiles } from './shelf/files.js'
import { listSlides } from './slides.js'

/** Opens the first of the files that are given; all of them are on the list. */
export function takeFiles(shelf: ShelfWithFiles): void {
  const take = async (files: Iterable<File>) => {
    const names = []
    for (const file of files) names.push(await shelf.add(file))
    if (names[0] === undefined) return
    listSlides(await shelf.list())
    location.hash = formatPlace({ name: names[0], view: null })
  }
  const begin = (files: Iterable<File>) => take([...files]).catch((error: unknown) => say(messageOf(error)))

  addEventListener('dragover', (event) => {
    event.preventDefault()
    document.body.classList.add('dropping')
  })
  addEventListener('dragleave', () => document.body.classList.remove('dropping'))
  addEventListener('drop', (event) => {
    event.preventDefault()
    document.body.classList.remove('dropping')
    begin(event.dataTransfer?.files ?? [])
  })
  const picker = element('open-files', HTMLInputElement)
  picker.addEventListener('change', () => {
    begin(picker.files ?? [])
    // So that the same file may be picked again.
    picker.value = ''
  })
}
