/** Checkpoints that PyTorch wrote, and files that only look like ones. */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ava, { type ExecutionContext } from 'ava'
import { Checkpoint } from '../../src/checkpoint/checkpoint.js'
import { Call, Named, Persistent, type PickleValue, readPickle } from '../../src/checkpoint/pickle.js'
import { createCli } from '../../src/cli/commands.js'
import { ClericError } from '../../src/errors.js'
import { loadModel } from '../../src/model/model.js'
import { seededRandom } from '../seeded-random.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-checkpoint-'))
ava.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const training = fileURLToPath(new URL('../../training', import.meta.url))
const python = process.env.PYTHON ?? (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3')

/** A test that needs PyTorch is skipped, visibly, without it, except in continuous integration. */
const hasTorch = (() => {
  try {
    // Importing them would take seconds.
    const look = 'import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))'
    execFileSync(python, ['-c', look, 'torch', 'torchvision', 'numpy', 'PIL'], { stdio: 'ignore' })
    return true
  } catch {
    return process.env.CI === 'true'
  }
})()
function testWithTorch(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  if (hasTorch) ava(title, run)
  else ava.skip(`${title} (needs PyTorch)`, run)
}

const [tensorsFile, trainingFile, ownModel] = [at('tensors.pt'), at('training.pt'), at('own.safetensors')]
/** On a few drawn images, which need no data. */
const calibration = ['--drawn', '--crops', '2']
/** What a reader must find in `tensorsFile`: by name, a shape and values. */
let expectedTensors: Record<string, { shape: number[]; values: number[] }>
ava.before(async () => {
  if (!hasTorch) return
  const script = fileURLToPath(new URL('save.py', import.meta.url))
  const options = { cwd: training, env: { ...process.env, PYTHONPATH: training }, maxBuffer: 2 ** 26 }
  const argv = [script, tensorsFile, trainingFile, ownModel, ...calibration]
  const { stdout } = await promisify(execFile)(python, argv, options)
  expectedTensors = JSON.parse(stdout.slice(0, stdout.indexOf('\n')))
})

testWithTorch('tensors of every kind read as PyTorch has them', async (t) => {
  const checkpoint = await Checkpoint.open(tensorsFile)
  const root = checkpoint.root as Map<string, PickleValue>
  for (const [name, { shape, values }] of Object.entries(expectedTensors)) {
    const tensor = await checkpoint.tensor(root.get(name), name)
    t.deepEqual(tensor.shape, shape, name)
    t.deepEqual([...tensor.data], [...new Float32Array(values)], name)
  }
  const others = root.get('others') as Map<string, PickleValue>
  t.deepEqual(others.get('list'), [1, -2, 3.5, null, true, 'text', 2n ** 70n, (others.get('list') as PickleValue[])[7]])
  t.true(others.get('array') instanceof Call)
  await t.throwsAsync(checkpoint.tensor(others.get('integers'), 'integers'), {
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /LongStorage/,
  })
  await t.throwsAsync(checkpoint.tensor(others.get('array'), 'array'), { code: 'ERR_MODEL_UNSUPPORTED' })
  await checkpoint.close()
})

async function run(...argv: string[]) {
  let [stdout, stderr] = ['', '']
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  }
  return { status: await createCli(io).run(argv), stdout, stderr }
}

testWithTorch("convert-weights makes the model that the training's own export makes", async (t) => {
  const convert = ['convert-weights', trainingFile, '-o', at('made.safetensors')]
  const { status, stdout, stderr } = await run(...convert, '--json', '--', ...calibration, '--name', 'mine')
  t.is(status, 0, stderr)
  const made = await loadModel(at('made.safetensors'))
  t.is(made.hash, (await loadModel(ownModel)).hash)
  t.like(JSON.parse(stdout), { output: at('made.safetensors'), model: { name: 'mine', hash: made.hash } })
  // There already; and not replaced by what can't be converted.
  t.is((await run(...convert)).status, 1)
  const other = await run('convert-weights', tensorsFile, '-o', at('made.safetensors'), '--overwrite')
  t.is(other.status, 1)
  t.regex(other.stderr, /can't be converted: it has no configuration/)
  t.is((await loadModel(at('made.safetensors'))).hash, made.hash)
  t.deepEqual(
    readdirSync(folder).filter((name) => name.includes('partial')),
    [],
  )
})

testWithTorch('convert-weights says what the exporter complained of', async (t) => {
  const { status, stderr } = await run('convert-weights', trainingFile, '-o', at('x'), '--', '--nonsense')
  t.is(status, 1)
  t.regex(stderr, /^cleric convert-weights: The exporter failed: .*--nonsense\n$/)
  t.false(existsSync(at('x')))
})

testWithTorch('a checkpoint that is damaged anywhere is refused, or reads', async (t) => {
  const sound = readFileSync(trainingFile)
  const random = seededRandom(11)
  const names = ['lift.low.0', 'nothing']
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(sound)
    const pickleAt = bytes.indexOf('data.pkl')
    // In the pickle, in the directory at the end, or cut short.
    const [from, length] = round % 2 === 0 ? [pickleAt, 20_000] : [bytes.length - 3000, 3000]
    for (let i = 0; i <= random() * 4; i++) bytes[from + Math.floor(random() * length)] = Math.floor(random() * 256)
    const cut = round % 5 === 0 ? Math.floor(random() * bytes.length) : bytes.length
    writeFileSync(at('damaged.pt'), bytes.subarray(0, cut))
    try {
      const checkpoint = await Checkpoint.open(at('damaged.pt'))
      const average = checkpoint.root instanceof Map ? checkpoint.root.get('ema') : undefined
      if (average instanceof Map) names.push(...[...average.keys()].slice(0, 3).map(String))
      for (const name of names.slice(-5)) {
        const value = average instanceof Map ? average.get(name) : undefined
        await checkpoint.tensor(value, name).catch((error) => t.true(error instanceof ClericError, String(error)))
      }
      await checkpoint.close()
    } catch (error) {
      t.true(error instanceof ClericError, String((error as Error).stack))
    }
  }
})

/** A ZIP file with one stored entry. */
function zipOf(name: string, content: Buffer, method = 0): Buffer {
  const local = Buffer.alloc(30)
  local.writeUInt32LE(0x04034b50)
  local.writeUInt16LE(name.length, 26)
  const entry = Buffer.alloc(46)
  entry.writeUInt32LE(0x02014b50)
  entry.writeUInt16LE(method, 10)
  entry.writeUInt32LE(content.length, 20)
  entry.writeUInt32LE(content.length, 24)
  entry.writeUInt16LE(name.length, 28)
  const data = Buffer.concat([local, Buffer.from(name), content])
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt32LE(entry.length + name.length, 12)
  end.writeUInt32LE(data.length, 16)
  return Buffer.concat([data, entry, Buffer.from(name), end])
}

/** A pickle that has Python run `touch VICTIM`. */
function hostilePickle(victim: string): Buffer {
  const command = `touch ${victim}`
  const length = Buffer.alloc(4)
  length.writeUInt32LE(command.length)
  const call = Buffer.from([0x85, 0x52, 0x2e]) // TUPLE1, REDUCE, STOP
  return Buffer.concat([Buffer.from([0x80, 2]), Buffer.from('cposix\nsystem\nX'), length, Buffer.from(command), call])
}

ava('what a pickle wants to call is not called', async (t) => {
  writeFileSync(at('hostile.pt'), zipOf('a/data.pkl', hostilePickle(at('victim'))))
  const checkpoint = await Checkpoint.open(at('hostile.pt'))
  const root = checkpoint.root as Call
  t.true(root instanceof Call)
  t.is((root.callee as Named).name, 'posix system')
  t.deepEqual(root.args, [`touch ${at('victim')}`])
  await checkpoint.close()
  t.not((await run('convert-weights', at('hostile.pt'), '-o', at('hostile.safetensors'))).status, 0)
  t.false(existsSync(at('victim')))
})

testWithTorch("Python's own reader would have called it", async (t) => {
  writeFileSync(at('hostile.pkl'), hostilePickle(at('victim-of-Python')))
  execFileSync(python, ['-c', 'import pickle, sys; pickle.load(open(sys.argv[1], "rb"))', at('hostile.pkl')])
  t.true(existsSync(at('victim-of-Python')))
})

ava('files that are no checkpoints are refused by name', async (t) => {
  const refused = async (bytes: Uint8Array, code: string, message: RegExp) => {
    writeFileSync(at('refused.pt'), bytes)
    await t.throwsAsync(Checkpoint.open(at('refused.pt')), { code, message })
  }
  await refused(Buffer.alloc(0), 'ERR_MODEL_UNSUPPORTED', /no ZIP/)
  await refused(Buffer.from('PK'.repeat(4000)), 'ERR_MODEL_UNSUPPORTED', /no ZIP/)
  await refused(zipOf('readme', Buffer.from('hello')), 'ERR_MODEL_UNSUPPORTED', /no data\.pkl/)
  await refused(zipOf('a/data.pkl', Buffer.from([0x4e, 0x2e]), 8), 'ERR_MODEL_UNSUPPORTED', /compressed/)
  await refused(zipOf('a/data.pkl', Buffer.from([0x4e])), 'ERR_MODEL_CORRUPT', /cut short/)
  await refused(zipOf('a/data.pkl', Buffer.from([0x2e])), 'ERR_MODEL_CORRUPT', /stack/)
  const huge = zipOf('a/data.pkl', Buffer.from([0x4e, 0x2e]))
  huge.writeUInt32LE(0xfffffff0, huge.length - 22 + 12)
  await refused(huge, 'ERR_MODEL_CORRUPT', /directory|ends before/)
})

/** A tensor as a checkpoint has it. */
function tensorCall(offset: PickleValue, shape: PickleValue, strides: PickleValue): Call {
  const storage = new Persistent(['storage', new Named('torch FloatStorage'), '0', 'cpu', 4])
  return new Call(new Named('torch._utils _rebuild_tensor_v2'), [storage, offset, shape, strides])
}

ava('a tensor stays within its storage', async (t) => {
  writeFileSync(at('storage.pt'), zipOf('a/data/0', Buffer.alloc(16)))
  await t.throwsAsync(Checkpoint.open(at('storage.pt')), { message: /no data\.pkl/ })
  const [pickle, data] = [
    zipOf('a/data.pkl', Buffer.from([0x4e, 0x2e])),
    Buffer.from(new Float32Array([1, 2, 3, 4]).buffer),
  ]
  // Two entries: the second's local header and data follow the first's.
  const local = pickle.subarray(0, 30 + 10 + 2)
  const second = zipOf('a/data/0', data)
  const secondLocal = second.subarray(0, 30 + 8 + 16)
  const entries = [pickle.subarray(42, 42 + 56), Buffer.from(second.subarray(54, 54 + 54))]
  ;(entries[1] as Buffer).writeUInt32LE(local.length, 42)
  const end = Buffer.from(pickle.subarray(-22))
  end.writeUInt32LE(110, 12)
  end.writeUInt32LE(local.length + secondLocal.length, 16)
  writeFileSync(at('storage.pt'), Buffer.concat([local, secondLocal, ...entries, end]))
  const checkpoint = await Checkpoint.open(at('storage.pt'))
  const read = async (...parts: Parameters<typeof tensorCall>) => [
    ...(await checkpoint.tensor(tensorCall(...parts), 'x')).data,
  ]
  t.deepEqual(await read(0, [2, 2], [1, 2]), [1, 3, 2, 4])
  t.deepEqual(await read(1, [3], [1]), [2, 3, 4])
  t.deepEqual(await read(0, [4], [0]), [1, 1, 1, 1])
  for (const [offset, shape, strides] of [
    [1, [4], [1]],
    [0, [2], [4]],
    [0, [5], [0]],
    [0, [2 ** 20, 2 ** 20], [0, 0]],
    [-1, [1], [1]],
    [0.5, [1], [1]],
    [0, [1], [1, 1]],
    [0, [1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1, 1]],
    [0, ['a'], [1]],
    [0, null, [1]],
  ] as [PickleValue, PickleValue, PickleValue][]) {
    await t.throwsAsync(checkpoint.tensor(tensorCall(offset, shape, strides), 'x'), { code: 'ERR_MODEL_CORRUPT' })
  }
  await checkpoint.close()
})

ava('pickles: what one may hold, and where one is refused', (t) => {
  const read = (...bytes: (number | string)[]) =>
    readPickle(Buffer.concat(bytes.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part])))))
  t.deepEqual(read(0x80, 2, ']', '(', 'K', 5, 'N', 'e', '.'), [5, null])
  t.deepEqual(read('}', '(', 0x8c, 1, 'a', 'K', 1, 'u', '.'), new Map([['a', 1]]))
  t.is(read(0x8a, 2, 0, 0xff, '.'), -256)
  t.is(read('J', 0xfe, 0xff, 0xff, 0xff, '.'), -2)
  for (const bad of [
    ['.'],
    ['K'],
    ['h', 3, '.'],
    ['e', '.'],
    ['(', 'a', '.'],
    [0x80, 9, '.'],
    ['X', 0xff, 0xff, 0xff, 0x7f, '.'],
    ['c', 'torch'],
    ['S', "'x'", '\n', '.'],
  ]) {
    t.throws(() => read(...bad), { code: 'ERR_MODEL_CORRUPT' }, String(bad))
  }
  t.throws(() => readPickle(new Uint8Array(5_000_000).fill(0x4e)), { message: /objects/ })
})

/** A pickle of protocol 2 of some opcodes, and strings that stand for their characters. */
const pickle = (...parts: (number | string | readonly number[])[]) => {
  const bytes = parts.flatMap((part) => (typeof part === 'string' ? [...Buffer.from(part)] : part))
  return Uint8Array.from([0x80, 2, ...bytes, 0x2e])
}
const [MARK, LIST, TUPLE, TUPLE1, EMPTY_LIST, EMPTY_DICT, APPEND] = [0x28, 0x6c, 0x74, 0x85, 0x5d, 0x7d, 0x61]
const [STACK_GLOBAL, REDUCE, DUP, BININT1, BINPUT, BINGET] = [0x93, 0x52, 0x32, 0x4b, 0x71, 0x68]
const SHORT_TEXT = (text: string): (number | string)[] => [0x8c, text.length, text]

ava('a name in a pickle is two texts', (t) => {
  const read = readPickle(pickle(...SHORT_TEXT('os'), ...SHORT_TEXT('system'), STACK_GLOBAL))
  t.is((read as Named).name, 'os system')
  for (const other of [[EMPTY_LIST], [EMPTY_DICT], [BININT1, 5], [MARK, LIST], [MARK, TUPLE]]) {
    for (const parts of [
      [...SHORT_TEXT('os'), ...other],
      [...other, ...SHORT_TEXT('system')],
    ]) {
      const error = t.throws(() => readPickle(pickle(...parts, STACK_GLOBAL)), { message: /name that is no text/ })
      t.like(error, { code: 'ERR_MODEL_CORRUPT' })
    }
  }
})

ava('a list of lists that doubles with every line is read in no time, and its text never made', (t) => {
  const lines: number[] = []
  for (let i = 0; i < 100; i++) lines.push(MARK, ...[BINGET, i, BINGET, i], LIST, BINPUT, i + 1)
  const started = performance.now()
  t.throws(() => readPickle(pickle(EMPTY_LIST, BINPUT, 0, ...lines, BINGET, 100, STACK_GLOBAL)), {
    message: /name that is no text/,
  })
  t.true(Array.isArray(readPickle(pickle(EMPTY_LIST, BINPUT, 0, ...lines.slice(0, 7 * 50)))))
  t.true(performance.now() - started < 1000)
})

ava('objects within objects go only so deep, and none holds itself', (t) => {
  const deep = (opcodes: number[], depth: number) => pickle(EMPTY_LIST, Array(depth).fill(opcodes).flat())
  t.true(Array.isArray(readPickle(deep([TUPLE1], 90))))
  // Each is put into the one before after that one is in its own place.
  const chain = [EMPTY_LIST, BINPUT, 0]
  for (let i = 1; i < 200; i++) chain.push(BINGET, i - 1, EMPTY_LIST, BINPUT, i, APPEND)
  for (const bytes of [
    deep([TUPLE1], 101),
    deep([TUPLE1], 300_000),
    pickle(...Array(200).fill(EMPTY_LIST), ...Array(199).fill(APPEND)),
    pickle(...chain, BINGET, 0),
  ]) {
    t.like(
      t.throws(() => readPickle(bytes), { message: /deep/ }),
      { code: 'ERR_MODEL_CORRUPT' },
    )
  }
  t.throws(() => readPickle(pickle(EMPTY_LIST, DUP, APPEND)), { message: /holds itself/ })
  const call = [...SHORT_TEXT('a'), ...SHORT_TEXT('b'), STACK_GLOBAL, EMPTY_LIST, REDUCE]
  t.true(readPickle(pickle(...call)) instanceof Call)
})

ava('a pickle makes no more objects than a checkpoint may have', (t) => {
  for (const opcode of [EMPTY_LIST, EMPTY_DICT]) {
    const bytes = pickle(MARK, Array(3_000_000).fill(opcode), LIST)
    const started = performance.now()
    t.throws(() => readPickle(bytes), { message: /more than 400000 objects/ })
    t.true(performance.now() - started < 5000)
  }
  t.throws(() => readPickle(pickle(Array(2_500_000).fill(DUP))), {
    message: /steps|stack/,
  })
})
