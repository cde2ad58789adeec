/** Puts the page together. */
import { Desk } from './desk.js'
import { messageOf, say } from './page.js'
import { ServerShelf } from './shelf/server.js'
import { listSlides } from './slides.js'

const desk = new Desk(new ServerShelf(), [])

try {
  const entries = await desk.shelf.list()
  listSlides(entries)
  if (entries.length === 0) say('There are no archives (*.cleric.tif) here')
  else desk.followAddress(entries[0]?.name ?? null)
} catch (error) {
  say(messageOf(error))
}
