/** The device's waiting, on a stand-in for Dawn's device that does what the tests say. */
import test from 'ava'
import { Device } from '../../src/webgpu/device.js'
import { heapUsed } from '../heap.js'

/** A device that is lost when told. */
async function standIn(): Promise<{ device: Device; lose: () => void }> {
  let lose = () => {}
  const lost = new Promise((resolve) => {
    lose = () => resolve({ reason: 'unknown', message: 'unplugged' })
  })
  const gpu = { lost, addEventListener() {}, destroy() {} }
  const adapter = { limits: {}, requestDevice: async () => gpu }
  return { device: await Device.open(adapter as unknown as GPUAdapter, false), lose }
}

test.serial('a wait leaves nothing behind', async (t) => {
  const { device } = await standIn()
  const wait = async (times: number) => {
    for (let i = 0; i < times; i++) await device.wait(Promise.resolve(i))
    for (let i = 0; i < times; i++) await device.wait(Promise.reject(new Error('no'))).catch(() => {})
  }
  await wait(1000)
  const before = heapUsed()
  await wait(10_000)
  const each = (heapUsed() - before) / 20_000
  t.log(`${each.toFixed(1)} bytes a wait`)
  t.true(each < 20, `${each} bytes a wait`)
  device.close()
})

test('a loss rejects every wait under way, and all that come later', async (t) => {
  const { device, lose } = await standIn()
  const lost = { code: 'ERR_DEVICE_FAILED', message: 'The device was lost (unknown): unplugged' } as const
  const done = device.wait(Promise.resolve('done'))
  const waits = [1, 2, 3].map(() => device.wait(new Promise(() => {})))
  t.is(await done, 'done')
  t.false(device.isLost)
  lose()
  for (const wait of waits) await t.throwsAsync(wait, lost)
  t.true(device.isLost)
  await t.throwsAsync(device.wait(new Promise(() => {})), lost)
  // What is given to it is heard all the same: a rejection that nobody hears ends the process.
  await t.throwsAsync(device.wait(Promise.reject(new Error('late'))), lost)
  t.throws(() => device.scopes(), lost)
  // Closing it doesn't change the story.
  device.close()
  await t.throwsAsync(device.wait(Promise.resolve()), lost)
})

test('closing rejects every wait under way', async (t) => {
  const { device } = await standIn()
  const waits = [1, 2].map(() => device.wait(new Promise(() => {})))
  device.close()
  for (const wait of waits) await t.throwsAsync(wait, { code: 'ERR_CLOSED' })
  t.true(device.isLost)
})
