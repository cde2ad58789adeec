/** The page: a list of slides, OpenSeadragon on DeepZoom tiles, facts and a scale bar in micrometres. */
/* global OpenSeadragon */
const element = (id) => document.getElementById(id)
const slides = element('slides')
let viewer = null

async function fetchJson(address) {
  const response = await fetch(address)
  const body = await response.json()
  if (!response.ok) throw new Error(body.message ?? response.statusText)
  return body
}

function say(text) {
  element('message').textContent = text
  element('message').hidden = text === ''
}

/** 1, 2 or 5 times a power of ten, the largest not above `value`. */
function roundNumber(value) {
  const power = 10 ** Math.floor(Math.log10(value))
  return [5, 2, 1].find((step) => step * power <= value) * power
}

function drawScale(mpp) {
  const bar = element('scale')
  bar.hidden = !mpp
  if (!mpp) return
  const micrometresPerScreenPixel = mpp.x / viewer.viewport.viewportToImageZoom(viewer.viewport.getZoom(true))
  const length = roundNumber(160 * micrometresPerScreenPixel)
  bar.style.width = `${length / micrometresPerScreenPixel}px`
  element('scale-text').textContent = length >= 1000 ? `${length / 1000} mm` : `${length} µm`
}

/** Takes the slide off the page: whatever stands under a name must be of that slide. */
function clear() {
  viewer?.destroy()
  viewer = null
  element('facts').textContent = ''
  element('scale').hidden = true
  document.title = 'cleric'
}

async function show(name) {
  clear()
  say(`Loading ${name} ...`)
  // `facts.icc` is "srgb" unless the slide's colour profile is of no use: the server converts, as not every browser does.
  const facts = await fetchJson(`slide?name=${encodeURIComponent(name)}`)
  // Another was chosen meanwhile.
  if (slides.value !== name) return
  say('')
  const { width, height } = facts.levels[0]
  const power = facts.objectivePower ? `, ${facts.objectivePower}x` : ''
  element('facts').textContent =
    `${width} x ${height}${power}, quality ${facts.quality}, ${facts.bpp.toFixed(2)} bpp (${(24 / facts.bpp).toFixed(1)} : 1)`
  document.title = `${name} - cleric`
  const path = name.split('/').map(encodeURIComponent).join('/')
  viewer = OpenSeadragon({
    element: element('view'),
    tileSources: {
      width,
      height,
      tileSize: 512,
      tileOverlap: 0,
      getTileUrl: (level, x, y) => `deepzoom/${path}_files/${level}/${x}_${y}.jpeg?v=${facts.version}&icc=${facts.icc}`,
    },
    showNavigator: true,
    // The keyboard and the wheel do what the buttons would.
    showNavigationControl: false,
    maxZoomPixelRatio: 4,
    // Decoding takes the server a while on a machine without a GPU.
    timeout: 600000,
  })
  viewer.addHandler('tile-load-failed', ({ message }) => say(`A tile can't be shown: ${message}`))
  viewer.addHandler('open', () => drawScale(facts.mpp))
  viewer.addHandler('update-viewport', () => drawScale(facts.mpp))
}

function choose() {
  const name = slides.value
  history.replaceState(null, '', `#${encodeURIComponent(name)}`)
  show(name).catch((error) => {
    if (slides.value === name) say(`${name} can't be shown: ${error.message}`)
  })
}

/** The name after the "#" of the page's address; null for none, and for one that is no text. */
function wantedName() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || null
  } catch {
    return null
  }
}

try {
  const names = await fetchJson('slides')
  for (const name of names) slides.add(new Option(name))
  const wanted = wantedName()
  const isThere = wanted === null || names.includes(wanted)
  // No other slide in place of one that is asked for.
  if (!isThere) slides.selectedIndex = -1
  else if (wanted !== null) slides.value = wanted
  slides.addEventListener('change', choose)
  if (!isThere) say(`There is no ${wanted} here; choose another slide`)
  else if (names.length > 0) choose()
  else say('There are no archives (*.cleric.tif) here')
} catch (error) {
  say(error.message)
}
