/** Puts the page together. */
import { Desk } from './desk.js'
import { takeFiles } from './drop.js'
import { messageOf, say } from './page.js'
import { ShelfWithFiles } from './shelf/files.js'
import { ServerShelf } from './shelf/server.js'
import { StaticShelf } from './shelf/static.js'
import { listSlides } from './slides.js'

// Only the page that `cleric static` writes names a list.
const { slides } = document.documentElement.dataset
const shelf = new ShelfWithFiles(slides === undefined ? new ServerShelf() : new StaticShelf(slides))
const desk = new Desk(shelf, [])
takeFiles(shelf)

try {
  const entries = await shelf.list()
  listSlides(entries)
  if (entries.length === 0)
    say('There are no archives (*.cleric.tif) here; one of this computer may be dropped on the page')
  else desk.followAddress(entries[0]?.name ?? null)
} catch (error) {
  say(messageOf(error))
}
