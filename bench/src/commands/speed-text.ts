/** What `bench speed` prints. */

import { byteSize, table } from 'cleric/internal'
import type { PeerSpeed, Peers } from '../speed/peers.js'
import { PEER_LABELS } from '../speed/peers.js'
import type { SpeedFacts, SpeedReport } from '../speed/report.js'
import type { Scaling } from '../speed/scaling.js'
import type { StagesResult } from '../speed/stages.js'
import type { PaperRow, Table3 } from '../speed/table3.js'
import type { TileSpeed } from '../speed/tiles.js'

const percent = (share: number) => `${(100 * share).toFixed(0)} %`
/** Three digits, or all before the point. */
const rate = (value: number) => (value < 1000 ? value.toPrecision(3) : value.toFixed(0))
const milliseconds = (seconds: number) => rate(1000 * seconds)
const yes = (on: boolean) => (on ? 'yes' : 'no')

/** Machine, versions, model, devices. */
export function describeFacts({ date, machine, versions, model, devices, seconds }: SpeedFacts): string {
  const { processor, instructionSet, threads, memoryBytes, platform } = machine
  return [
    `${date}, ${seconds} s a measurement`,
    `${processor}, ${instructionSet}, ${threads} threads, ${byteSize(memoryBytes)}, ${platform}`,
    `cleric ${versions.cleric}, Node.js ${versions.node}, webgpu ${versions.webgpu ?? 'not installed'}`,
    `model ${model.name} (${model.hash.slice(0, 16)})`,
    ...devices.map(({ id, software }) => `device ${id}${software ? ', software' : ''}`),
    '',
  ].join('\n')
}

export function describeSpeed(report: SpeedReport): string {
  const { peaks = [], tiles, stages, peers, scaling, table3, failures } = report
  const sections: string[] = []
  if (tiles) {
    const measured = peaks.map(({ device, gflops, kernel }) => `${device}: ${gflops.toFixed(0)} GFLOP/s, ${kernel}`)
    sections.push(`Peak\n${measured.join('\n')}`, tilesText(tiles))
  }
  if (stages) sections.push(stagesText(stages))
  if (peers) sections.push(peersText(peers))
  if (scaling) sections.push(...scalingTexts(scaling))
  if (table3) sections.push(table3Text(table3))
  for (const { device, what, reason } of failures) sections.push(`${device} could not do ${what}: ${reason}`)
  return sections.join('\n\n')
}

function tilesText(tiles: readonly TileSpeed[]): string {
  const rows = tiles.map((entry) => {
    const { device, tile, direction, seconds, megapixelsPerSecond, gflops, shareOfPeak } = entry
    const { hostMilliseconds, dispatches, tensorBytes } = entry
    return [
      device,
      direction,
      String(tile),
      rate(megapixelsPerSecond.median),
      rate(megapixelsPerSecond.best),
      milliseconds(seconds.median),
      String(seconds.runs),
      gflops.toFixed(1),
      percent(shareOfPeak),
      hostMilliseconds === null ? '-' : hostMilliseconds.toFixed(2),
      dispatches === null ? '-' : String(dispatches),
      tensorBytes === null ? '-' : (tensorBytes / 2 ** 20).toFixed(0),
    ]
  })
  const head = [
    ...['device', '', 'tile', 'Mpx/s', 'best', 'ms', 'runs', 'GFLOP/s', 'of peak'],
    ...['host ms', 'dispatches', 'MiB'],
  ]
  return `One tile at a time, entropy coder included; medians\n${table([head, ...rows])}`
}

function stagesText({ slide, stages }: StagesResult): string {
  const rows = stages.map((entry) => {
    const { device, direction, megapixelsPerSecond, seconds, read, network, entropyCoder, write, deviceBusy } = entry
    const withShare = (part: number | null) => (part === null ? '-' : `${part.toFixed(2)} (${percent(part / seconds)})`)
    return [
      ...[device, direction === 'encode' ? 'compress' : 'decode', rate(megapixelsPerSecond), seconds.toFixed(2)],
      ...[read, network, entropyCoder, write].map(withShare),
      percent(deviceBusy),
    ]
  })
  const head = ['device', '', 'Mpx/s', 's', 'read', 'network', 'entropy coder', 'write', 'device busy']
  const parts = stages.flatMap(({ device, direction, parts: shares }) => {
    if (!shares) return []
    const named = Object.entries(shares).filter(([, share]) => share > 0)
    const list = named.map(([part, share]) => `${part} ${percent(share)}`).join(', ')
    return [`The network's time, ${direction} on ${device}: ${list}`]
  })
  const title = `${slide}: seconds during which each stage was at work (they overlap)`
  return [title, table([head, ...rows]), ...parts].join('\n')
}

function peersText({ results, missing }: Peers): string {
  const rows = results.map((entry: PeerSpeed) => [
    ...[entry.direction, String(entry.tile), entry.name],
    milliseconds(entry.seconds.median),
    milliseconds(entry.seconds.best),
    String(entry.seconds.runs),
    rate(entry.megapixelsPerSecond),
    entry.peer === 'cleric' ? '-' : `${entry.clericIsFasterBy.toFixed(2)} times`,
    entry.largestDifference?.toExponential(1) ?? '-',
  ])
  const head = ['', 'tile', 'by', 'ms', 'best', 'runs', 'Mpx/s', 'CLERIC is faster', 'largest difference']
  const gaps = missing.map(({ peer, device, reason }) => {
    const where = device === null ? '' : ` beside ${device}`
    return `${PEER_LABELS[peer]} is missing${where}: ${reason}`
  })
  return [
    'The same layers and weights on other runtimes, by turns, without the entropy coder; medians',
    table([head, ...rows]),
    ...gaps,
  ].join('\n')
}

function scalingTexts({ tile, threads, inFlight, slides }: Scaling): string[] {
  const texts: string[] = []
  if (threads.length > 0) {
    const rows = threads.map((entry) => [
      entry.direction,
      String(entry.threads),
      rate(entry.megapixelsPerSecond),
      gain(entry, threads),
    ])
    const head = ['', 'threads', 'Mpx/s', 'gain']
    texts.push(`Threads of the processor, tiles of ${tile}, best runs\n${table([head, ...rows])}`)
  }
  if (inFlight.length > 0) {
    const rows = inFlight.map((entry) => [
      ...[entry.device, entry.direction, String(entry.tilesInFlight), rate(entry.megapixelsPerSecond)],
      ...[gain(entry, inFlight), percent(entry.deviceBusy)],
    ])
    const head = ['device', '', 'in flight', 'Mpx/s', 'gain', 'device busy']
    texts.push(`Tiles in flight, of ${tile}, best of the rounds\n${table([head, ...rows])}`)
  }
  if (slides.length > 0) {
    const rows = slides.map(({ device, side, tiles, megapixelsPerSecond }) => [
      ...[device, `${side} x ${side}`, String(tiles), rate(megapixelsPerSecond)],
    ])
    const head = ['device', 'slide', 'tiles', 'Mpx/s']
    texts.push(`Compression of drawn slides, all levels\n${table([head, ...rows])}`)
  }
  return texts
}

interface Scaled {
  readonly device: string
  readonly direction: string
  readonly megapixelsPerSecond: number
}

/** Against the first of the same device and direction. */
function gain<T extends Scaled>(entry: T, all: readonly T[]): string {
  const first = all.find(({ device, direction }) => device === entry.device && direction === entry.direction) as T
  return (entry.megapixelsPerSecond / first.megapixelsPerSecond).toFixed(2)
}

function table3Text({ tile, rows }: Table3): string {
  const figures = ({ parametersM, gmacs, encodeSeconds, decodeSeconds }: PaperRow) => [
    ...[`${parametersM.toFixed(2)} M`, gmacs.toFixed(2)],
    ...[encodeSeconds, decodeSeconds].map(milliseconds),
  ]
  const lines = rows.flatMap(({ preset, ls, drb, r2b, parameters, gmacs, latencies, paper }) => {
    const counted = [`${(parameters / 1e6).toFixed(2)} M`, gmacs.toFixed(2)]
    const switches = [preset, ...[ls, drb, r2b].map(yes)]
    const measured = latencies.map(({ device, encode, decode }) => [
      ...[...switches, device, ...counted],
      ...[encode, decode].map(({ median }) => milliseconds(median)),
    ])
    if (measured.length === 0) measured.push([...switches, '-', ...counted, '-', '-'])
    return [...measured, ...(paper ? [[...switches, 'the paper', ...figures(paper)]] : [])]
  })
  const head = ['preset', 'LS', 'DRB', 'R2B', 'by', 'parameters', 'GMACs', 'encode, ms', 'decode, ms']
  return [
    `The paper's Table 3: GMACs of 256 x 256 pixels; latencies of ${tile} x ${tile}, medians, random weights, entropy coder included.`,
    "What is the paper's are its own figures, its latencies measured on its GPU.",
    table([head, ...lines]),
  ].join('\n')
}
