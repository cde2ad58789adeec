/** `cleric bench speed`: counting, timing, peers that are there or missing, and the command from arguments to files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { DeviceError, psnr } from 'cleric'
import { encoderGraph, openCpu, TileCodec } from 'cleric/internal'
import { createCli } from '../../src/cli/commands.js'
import { nanoModel, nanoModelFile } from '../../test/network/golden.js'
import { measure, measureByTurns, timing } from '../src/speed/clock.js'
import { attempt, type Failure, type SpeedContext, tissue } from '../src/speed/context.js'
import { chooseDevices } from '../src/speed/devices.js'
import { convolution, timeKernel } from '../src/speed/kernel.js'
import { ObservedCodec } from '../src/speed/observed-codec.js'
import { benchPeers } from '../src/speed/peers.js'
import { parameterShapes, presets } from '../src/speed/presets.js'
import { randomModel, randomParameters } from '../src/speed/random-model.js'
import { threadCounts } from '../src/speed/scaling.js'
import { PAPER_TABLE3 } from '../src/speed/table3.js'
import { tileSpeed } from '../src/speed/tiles.js'
import { multiplyAdds, necessaryMultiplyAdds, paperMultiplyAdds, parameterCount } from '../src/speed/work.js'
import { fakeOnnxRuntime, fakePython } from './fake-runtimes.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-speed-test-'))
const nanoFile = fileURLToPath(nanoModelFile)
test.after.always(() => rmSync(folder, { recursive: true }))

// docs/network.md, "Conformance": parameters in millions and GMACs, to three decimals.
const conformance = [
  '83.501 75.437',
  '85.869 64.058',
  '85.340 91.846',
  '85.340 81.182',
  '83.938 88.709',
  '85.869 74.722',
]

test('parameters and GMACs are those of the paper, row by row, to every printed digit', (t) => {
  t.timeout(120_000)
  for (const [i, { ls, drb, r2b, paper }] of PAPER_TABLE3.entries()) {
    const config = { ...presets.paper, ls, drb, iters: r2b ? 2 : 1 }
    const parameters = randomParameters(config)
    const [count, work] = [parameterCount(config, parameters) / 1e6, paperMultiplyAdds(config, parameters, 256) / 1e9]
    t.is(`${count.toFixed(3)} ${work.toFixed(3)}`, conformance[i] as string)
    t.is(Number(count.toFixed(2)), paper.parametersM)
    t.is(Number(work.toFixed(2)), paper.gmacs)
  }
  const s = randomParameters(presets.s)
  t.is((parameterCount(presets.s, s) / 1e6).toFixed(1), '17.4')
  const m = randomParameters(presets.m)
  t.is((parameterCount(presets.m, m) / 1e6).toFixed(1), '36.0')
})

test('the shapes of a preset are those of a model file', async (t) => {
  const { config, parameters } = await nanoModel()
  t.deepEqual({ ...config, iters: 2 }, { ...presets.nano, iters: 2 } as unknown as typeof config)
  for (const [name, shape] of parameterShapes(config)) {
    const isInteger = /^(h_s|mem)\./.test(name)
    const stored = isInteger ? parameters.integers(name) : parameters.get(name)
    // A linear layer's weight may be stored as a 1x1 convolution's, or not.
    t.deepEqual(
      stored.shape.filter((side, i) => i < 2 || side !== 1),
      shape.filter((side, i) => i < 2 || side !== 1),
      name,
    )
  }
})

test('a random model decodes what it encodes, with any module off', async (t) => {
  const backend = await openCpu()
  const image = await tissue(128)
  for (const { ls, drb, r2b } of PAPER_TABLE3) {
    const codec = new TileCodec(await randomModel({ ...presets.nano, ls, drb, iters: r2b ? 2 : 1 }), backend)
    const payload = await codec.encode(image, 60)
    const decoded = await codec.decode(payload, image, 60)
    // A network that only saturates would compute zeros and infinities, at another speed.
    const middle = decoded.data.filter((value) => value > 0 && value < 255).length / decoded.data.length
    t.true(middle > 0.02, `${middle} of the values`)
    t.true(Number.isFinite(psnr(image, decoded)))
    codec.close()
  }
  backend.close()
})

test('a random model of preset m decodes what it encodes', async (t) => {
  const backend = await openCpu()
  const codec = new TileCodec(await randomModel(presets.m), backend)
  const image = await tissue(64)
  const decoded = await codec.decode(await codec.encode(image, 60), image, 60)
  t.true(Number.isFinite(psnr(image, decoded)))
  codec.close()
  backend.close()
})

test('work: what only half of a checkerboard is read of counts half', async (t) => {
  const { config, parameters } = await nanoModel()
  const { graph } = encoderGraph(config, parameters, 128, 128)
  const nodes = graph.stages.flatMap((stage) => stage.nodes)
  const all = nodes.reduce((sum, node) => sum + multiplyAdds(node, parameters), 0)
  const integers = nodes.filter(({ op }) => op.startsWith('integer'))
  const ofIntegers = integers.reduce((sum, node) => sum + multiplyAdds(node, parameters), 0)
  const necessary = necessaryMultiplyAdds(graph, parameters)
  t.true(necessary < all && necessary > all - 0.5 * ofIntegers, `${necessary} of ${all}`)
  const first = nodes.find((node) => node.op === 'conv' && node.output.name === 'g_a.low.2.conv1')
  t.is(first && multiplyAdds(first, parameters), 16 * 16 * 9 * 32 * 32)
})

test('rates and shares are what seconds and work make them', (t) => {
  const facts = { device: 'cpu', tile: 500, direction: 'encode' } as const
  const speed = tileSpeed(
    facts,
    { best: 0.1, median: 0.25, runs: 3 },
    25e9,
    { gflops: 400, kernel: 'a layer' },
    { hostMilliseconds: 1.5, dispatches: 200, tensorBytes: 2 ** 20 },
  )
  t.deepEqual(speed.megapixelsPerSecond, { best: 2.5, median: 1 })
  t.like(speed, {
    ...facts,
    gmacs: 25,
    gflops: 200,
    shareOfPeak: 0.5,
    hostMilliseconds: 1.5,
    dispatches: 200,
    tensorBytes: 2 ** 20,
  })
  t.deepEqual(timing([3, 1, 2, 10]), { best: 1, median: 2.5, runs: 4 })
  t.deepEqual(timing([5]), { best: 5, median: 5, runs: 1 })
  t.deepEqual([1, 2, 3, 8, 12].map(threadCounts), [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 12]])
})

test('calls take turns, one that counts for itself is believed, and all run at least once', async (t) => {
  const order: string[] = []
  const [own, told] = await measureByTurns(
    [async () => order.push('a') && 'x', async () => order.push('b') && 7],
    0.001,
  )
  t.deepEqual(order, ['a', 'b'])
  t.true((own?.median as number) < 1)
  t.deepEqual(told, { best: 7, median: 7, runs: 1 })
  let calls = 0
  t.is((await measure(async () => calls++, 0)).runs, 1)
  t.is(calls, 2)
  const signal = AbortSignal.abort()
  await t.throwsAsync(
    measure(async () => {}, 1, signal),
    { code: 'ERR_ABORTED' },
  )
})

test('a layer is timed on the processor', async (t) => {
  const backend = await openCpu({ threads: 1 })
  const result = await timeKernel(backend, convolution('conv', 16, 32, 64, 3), 3)
  backend.close()
  t.is(result.multiplyAdds, 64 * 64 * 9 * 16 * 32)
  t.true(result.median > 0 && result.first > 0)
})

test('devices by name, each once', async (t) => {
  const named = async (...names: string[]) => (await chooseDevices(names)).map(({ id }) => id)
  t.deepEqual(await named('cpu', 'cpu'), ['cpu'])
  t.is((await named('auto'))[0], 'cpu')
  await t.throwsAsync(chooseDevices([]), { instanceOf: RangeError, message: /^Expected a list of devices/ })
  await t.throwsAsync(chooseDevices(['no such adapter']), { code: 'ERR_NO_DEVICE' })
})

test('what a device refuses is noted; what nobody foresaw is not', async (t) => {
  const failures: Failure[] = []
  const refuse = () => Promise.reject(new DeviceError('ERR_DEVICE_LIMIT', 'too large'))
  t.is(await attempt({ failures }, 'gpu', 'tiles of 1024', refuse), null)
  t.deepEqual(failures, [{ device: 'gpu', what: 'tiles of 1024', reason: 'too large' }])
  await t.throwsAsync(attempt({ failures }, 'gpu', 'x', () => Promise.reject(new TypeError('a bug'))))
})

test('an observed codec tells network, its parts and the entropy coder apart', async (t) => {
  const backend = await openCpu()
  const codec = new ObservedCodec(await nanoModel(), backend)
  const image = await tissue(128)
  const payload = await codec.encodePayload(image, 60)
  t.is(codec.observed.parts?.synthesis, 0)
  codec.restart()
  const decoded = await codec.decodePayload(payload, { width: 128, height: 128, quality: 60 })
  const { seconds, networkSeconds, codingSeconds, parts } = codec.observed
  t.true(networkSeconds > 0 && codingSeconds > 0 && networkSeconds + codingSeconds <= seconds)
  t.is(parts?.analysis, 0)
  t.true(parts !== null && Math.abs(parts['entropy model'] + parts.synthesis - 1) < 1e-9)
  codec.close()
  const plain = new TileCodec(await nanoModel(), backend)
  t.deepEqual(await plain.encode(image, 60), payload)
  t.deepEqual(await plain.decode(payload, image, 60), decoded)
  plain.close()
  backend.close()
})

async function context(): Promise<SpeedContext> {
  return {
    ...{ model: await nanoModel(), modelFile: nanoFile, devices: await chooseDevices(['cpu']), tiles: [64] },
    ...{ seconds: 0.01, quality: 60, note() {}, failures: [] },
  }
}

test.serial('peers that are missing are named, with what to do', async (t) => {
  process.env.PYTHON = join(folder, 'no-python')
  const none = await benchPeers(await context(), null)
  t.deepEqual(
    none.results.map(({ peer, direction }) => [peer, direction]),
    [
      ['cleric', 'encode'],
      ['cleric', 'decode'],
    ],
  )
  const reasons = new Map(none.missing.map(({ peer, reason }) => [peer, reason]))
  t.regex(reasons.get('onnxruntime-cpu') ?? '', /npm install onnxruntime-node.*--runtime/)
  t.regex(reasons.get('onnxruntime-webgpu') ?? '', /npm install onnxruntime-node/)
  t.regex(reasons.get('pytorch') ?? '', /no-python.*apt-get install python3-torch/)
  const { missing } = await benchPeers(await context(), folder)
  t.regex(missing.find(({ peer }) => peer === 'onnxruntime-cpu')?.reason ?? '', /Cannot find module .*--runtime/)
})

test.serial('a provider that finds no adapter is named, and what it could only be compared with wrongly', async (t) => {
  const pretend = (id: string) => ({ id, kind: 'webgpu' as const, software: true, open: () => openCpu() })
  const devices = [pretend('a (vulkan)'), pretend('b (opengles)')]
  const runtime = fakeOnnxRuntime(join(folder, 'ort-2'))
  const { results, missing } = await benchPeers({ ...(await context()), devices }, runtime)
  t.is(results.length, 4)
  const about = missing.filter(({ peer }) => peer === 'onnxruntime-webgpu')
  t.deepEqual(
    about.map(({ device }) => device),
    ['a (vulkan)', 'b (opengles)'],
  )
  t.is(about[0]?.reason, 'no adapter for webgpu')
  t.regex(about[1]?.reason ?? '', /no OpenGL ES/)
})

test.serial('peers that are there run by turns and are compared', async (t) => {
  process.env.PYTHON = fakePython(folder)
  const { results, missing } = await benchPeers(await context(), fakeOnnxRuntime(join(folder, 'ort')))
  t.deepEqual(
    results.map(({ peer }) => peer),
    ['cleric', 'onnxruntime-cpu', 'pytorch', 'cleric', 'onnxruntime-cpu', 'pytorch'],
  )
  const [ours, onnx, torch] = results
  t.is(onnx?.name, 'onnxruntime-node 9.9.9, cpu provider')
  // The stand-in gives zeros.
  t.true((onnx?.largestDifference ?? 0) > 0)
  t.like(torch, { name: 'PyTorch 0.0, a stand-in', largestDifference: null, megapixelsPerSecond: (64 * 64) / 2e6 })
  t.is(torch?.seconds.median, 2)
  t.is(torch?.clericIsFasterBy, 2 / (ours?.seconds.median as number))
  t.deepEqual(
    missing.map(({ peer }) => peer),
    ['onnxruntime-webgpu'],
  )
})

async function cli(...argv: string[]) {
  let [stdout, stderr] = ['', '']
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  }
  const status = await createCli(io).run(['bench', 'speed', '--model', nanoFile, '--device', 'cpu', ...argv])
  return { status, stdout, stderr }
}

test.serial('bench speed writes JSON and figures, and prints the same JSON', async (t) => {
  t.timeout(120_000)
  process.env.PYTHON = join(folder, 'no-python')
  const output = join(folder, 'out')
  const small = ['--tiles', '128,64', '--sizes', '200,300', '--seconds', '0.01', '--presets', 'nano']
  const { status, stdout, stderr } = await cli(...small, '--output', output, '--json')
  t.is(status, 0, stderr)
  const report = JSON.parse(stdout)
  t.deepEqual(report, JSON.parse(readFileSync(join(output, 'speed.json'), 'utf8')))
  t.like(report, {
    format: 'cleric-bench-speed/1',
    failures: [],
    devices: [{ id: 'cpu', kind: 'cpu', software: false }],
  })
  t.is(report.model.hash, (await nanoModel()).hash)
  t.true(report.peaks[0].gflops > 0.1)
  t.deepEqual(
    report.tiles.map(({ tile, direction }: { tile: number; direction: string }) => [tile, direction]),
    [
      [64, 'encode'],
      [64, 'decode'],
      [128, 'encode'],
      [128, 'decode'],
    ],
  )
  for (const { device, megapixelsPerSecond, shareOfPeak, hostMilliseconds, dispatches, tensorBytes } of report.tiles) {
    t.is(dispatches === null, device === 'cpu')
    t.is(tensorBytes === null, device === 'cpu')
    t.is(hostMilliseconds === null, device === 'cpu', `${device}: ${hostMilliseconds}`)
    t.true(hostMilliseconds === null || (hostMilliseconds > 0 && hostMilliseconds < 1e4))
    t.true(megapixelsPerSecond.best >= megapixelsPerSecond.median && megapixelsPerSecond.median > 0)
    t.true(shareOfPeak > 0)
  }
  for (const { read, network, entropyCoder, write, seconds, deviceBusy, direction } of report.stages.stages) {
    for (const part of [read, network, entropyCoder]) t.true(part > 0 && part <= seconds)
    t.is(write === null, direction === 'decode')
    t.true(deviceBusy > 0 && deviceBusy <= 1)
  }
  t.is(report.peers.missing.length, 3)
  t.is(report.scaling.slides.length, 2)
  t.is(report.scaling.inFlight.length, 2 * 4)
  t.is(report.table3.rows.length, 6)
  t.true(report.table3.rows[5].latencies[0].encode.median > 0)
  for (const name of ['tiles.svg', 'scaling.svg']) {
    const svg = readFileSync(join(output, name), 'utf8')
    t.true(svg.startsWith('<svg ') && svg.trimEnd().endsWith('</svg>'), name)
    t.notRegex(svg, /NaN|undefined/)
  }
})

test.serial('a part runs alone, as text', async (t) => {
  const { status, stdout, stderr } = await cli('--parts', 'tiles', '--tiles', '64', '--seconds', '0.01')
  t.is(status, 0, stderr)
  t.regex(stdout, /model cleric-nano/)
  t.regex(stdout, /GFLOP\/s {2}of peak {2}host ms {2}dispatches {2}MiB\ncpu {5}encode {4}64/)
  t.notRegex(stdout, /Table 3|in flight/)
})

test.serial('a slide that is not there is said before anything is measured', async (t) => {
  const { status, stderr } = await cli('--slide', join(folder, 'none.svs'))
  t.is(status, 1)
  t.regex(stderr, /none\.svs doesn't exist/)
})

test.serial('wrong arguments are refused, in words', async (t) => {
  for (const [argv, message] of [
    [['--parts', 'tiles,speed'], /Expected some of tiles,stages,peers,scaling,table3, not speed/],
    [['--tiles', '100'], /Expected multiples of 64 up to 1024/],
    [['--tiles', '2048'], /up to 1024/],
    [['--sizes', '0'], /Expected sides up to/],
    [['--seconds', '0'], /Expected a number from 0.01 to 600/],
    [['--presets', 'xl'], /Expected some of paper,m,s,nano, not xl/],
    [['--device', 'cpu,'], /Expected a list such as cpu,webgpu/],
  ] as const) {
    const { status, stderr } = await cli(...argv)
    t.is(status, 2, argv.join(' '))
    t.regex(stderr, message)
  }
})

test.serial('a folder that can not be made is found out before the work', async (t) => {
  const taken = join(folder, 'taken')
  writeFileSync(taken, '')
  const { status, stdout, stderr } = await cli('--parts', 'tiles', '--tiles', '64', '--output', taken)
  t.is(status, 1)
  t.is(stdout, '')
  t.regex(stderr, /^cleric bench speed: EEXIST.*taken/)
})
