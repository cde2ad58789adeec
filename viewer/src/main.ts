/** Puts the page together. */
import { Annotations } from './annotations/guest.js'
import { Colours } from './colours/guest.js'
import { Compare } from './compare/guest.js'
import { Desk } from './desk.js'
import { takeFiles } from './drop.js'
import { button, download, element, messageOf, say, tell } from './page.js'
import { ShelfWithFiles } from './shelf/files.js'
import { ServerShelf } from './shelf/server.js'
import { StaticShelf } from './shelf/static.js'
import { listSlides, neighbour } from './slides.js'
import type { Stage } from './stage.js'
import { followPointer } from './tools/cursor.js'
import { Details } from './tools/details.js'
import { FailedTiles } from './tools/failed-tiles.js'
import { type Command, openHelp, startKeys } from './tools/keys.js'
import { closePanel, search, startPanels, togglePanel } from './tools/panels.js'
import { screenshot } from './tools/screenshot.js'
import { changeTheme, startTheme } from './tools/theme.js'
import { TileLayer } from './tools/tile-layer.js'
import { POWERS, QUARTER, Toolbar, toggleFullScreen } from './tools/toolbar.js'
import { keepOnWholePixels } from './whole-pixels.js'

// Only the page that `cleric static` writes names a list.
const { slides } = document.documentElement.dataset
const shelf = new ShelfWithFiles(slides === undefined ? new ServerShelf() : new StaticShelf(slides))
const toolbar = new Toolbar()
const colours = new Colours()
const compare = new Compare(shelf, colours)
const annotations = new Annotations()
const layer = new TileLayer()
const pointer = { show: followPointer, clear: () => {} }
const desk = new Desk(shelf, [
  toolbar,
  colours,
  layer,
  new Details(layer),
  new FailedTiles(),
  annotations,
  compare,
  pointer,
])
const { draw } = annotations

/** Does something with the slide on the page, if there is one. */
const withStage = (use: (stage: Stage) => void) => () => {
  if (desk.stage) use(desk.stage)
}

const takeScreenshot = withStage((stage) => {
  screenshot({ stage, annotations, colours, compare })
    .then((picture) => {
      download(`${stage.slide.facts.name.split('/').at(-1)}.png`, picture)
      tell('The picture is saved')
    })
    .catch((error: unknown) => say(`No picture: ${messageOf(error)}`))
})

const copyLink = withStage(() => {
  const link = desk.link()
  // Browsers give the clipboard only to pages that come by https or from the machine itself.
  const copied = navigator.clipboard ? navigator.clipboard.writeText(link) : Promise.reject(new Error())
  const label = button('link')
  copied.then(
    () => {
      label.textContent = 'Link copied'
      tell('The link is copied')
      setTimeout(() => {
        label.textContent = 'Link'
      }, 2000)
    },
    () => say(`The browser doesn't let the page copy; this is the link: ${link}`),
  )
})

const go = (step: 1 | -1) => () => {
  const name = neighbour(step)
  if (name !== null) desk.choose(name)
}

const move = (right: number, down: number) => withStage((stage) => stage.panBy(right, down))

const commands: readonly Command[] = [
  { keys: ['ArrowLeft'], does: 'Move left; with Shift by the whole width', run: move(-1 / 8, 0) },
  { keys: ['ArrowRight'], does: 'Move right', run: move(1 / 8, 0) },
  { keys: ['ArrowUp'], does: 'Move up', run: move(0, -1 / 8) },
  { keys: ['ArrowDown'], does: 'Move down', run: move(0, 1 / 8) },
  { keys: ['Shift+ArrowLeft'], does: '', run: move(-1, 0) },
  { keys: ['Shift+ArrowRight'], does: '', run: move(1, 0) },
  { keys: ['Shift+ArrowUp'], does: '', run: move(0, -1) },
  { keys: ['Shift+ArrowDown'], does: '', run: move(0, 1) },
  { keys: ['+', '='], does: 'Twice as large', run: withStage((stage) => stage.zoomBy(2)) },
  { keys: ['-', '_'], does: 'Half as large', run: withStage((stage) => stage.zoomBy(1 / 2)) },
  { keys: ['0', 'Home'], does: 'All of the slide', run: withStage((stage) => stage.fit()) },
  ...POWERS.map((power, i) => ({ keys: [String(i + 1)], does: `${power}x`, run: () => toolbar.toPower(power) })),
  { keys: ['r'], does: 'Turn right by 90°', run: withStage((stage) => stage.rotateBy(QUARTER)) },
  { keys: ['R'], does: 'Turn left by 90°', run: withStage((stage) => stage.rotateBy(-QUARTER)) },
  { keys: [']'], does: 'Turn right by 5°', run: withStage((stage) => stage.rotateBy(5)) },
  { keys: ['['], does: 'Turn left by 5°', run: withStage((stage) => stage.rotateBy(-5)) },
  { keys: ['f'], does: 'Full screen', run: toggleFullScreen },
  { keys: ['m'], does: 'Measure a length: draw a line', run: () => draw.toggle('line') },
  { keys: ['a'], does: 'Measure an area: draw round it', run: () => draw.toggle('area') },
  { keys: ['b'], does: 'Draw a box', run: () => draw.toggle('box') },
  { keys: ['p'], does: 'Set a point', run: () => draw.toggle('point') },
  { keys: [' '], does: 'Set a point of what is drawn in the middle of the view', run: () => draw.addMiddle() },
  { keys: ['Enter'], does: 'Finish what is drawn', run: () => draw.finish() },
  { keys: ['Backspace'], does: 'Take back the last point', run: () => draw.removePoint() },
  { keys: ['Delete'], does: 'Delete the annotation that is selected', run: () => annotations.removeSelected() },
  { keys: ['Escape'], does: 'Give up drawing, or close the panel', run: leave },
  { keys: ['i'], does: 'Details', run: () => togglePanel('details') },
  { keys: ['c'], does: 'Colours', run: () => togglePanel('colours') },
  { keys: ['n'], does: 'Annotations', run: () => togglePanel('annotations') },
  { keys: ['k'], does: 'Compare with the source slide, or another; again: stop', run: () => compare.toggle() },
  { keys: ['s'], does: 'Save what is seen as a PNG', run: takeScreenshot },
  { keys: ['l'], does: 'Copy a link to what is seen', run: copyLink },
  { keys: ['/'], does: 'Search the slides', run: search },
  { keys: ['PageUp'], does: 'The slide before', run: go(-1) },
  { keys: ['PageDown'], does: 'The next slide', run: go(1) },
  { keys: ['t'], does: 'Theme: as the system has it, light, dark', run: changeTheme },
  { keys: ['?'], does: 'This help', run: openHelp },
]

function leave(): void {
  if (draw.isDrawing) draw.stop()
  else closePanel()
}

for (const [id, run] of [
  ['screenshot', takeScreenshot],
  ['link', copyLink],
  ['help-button', openHelp],
  ['theme', changeTheme],
] as const) {
  button(id).addEventListener('click', run)
}
keepOnWholePixels(element('stages'))
takeFiles(shelf)
startTheme()
startPanels()
startKeys(commands)

try {
  const entries = await shelf.list()
  listSlides(entries)
  if (entries.length === 0)
    say('There are no archives (*.cleric.tif) here; one of this computer may be dropped on the page')
  else desk.followAddress(entries[0]?.name ?? null)
} catch (error) {
  say(messageOf(error))
}
