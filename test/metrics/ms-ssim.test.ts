/**
 * MS-SSIM against a value that torchmetrics publishes in its documentation
 * (https://lightning.ai/docs/torchmetrics/stable/image/multi_scale_structural_similarity.html):
 * three images of torch.rand([3, 3, 256, 256], generator=torch.manual_seed(42)), against 0.75 times themselves: 0.9627.
 */
import test from 'ava'
import type { Image } from '../../src/image/image.js'
import { msSsim } from '../../src/metrics/ms-ssim.js'

/** The 32-bit Mersenne Twister of Matsumoto and Nishimura (1998), which PyTorch's generator on the CPU is. */
function* mersenneTwister(seed: number): Generator<number> {
  const state = new Uint32Array(624)
  state[0] = seed
  for (let i = 1; i < 624; i++) {
    const before = state[i - 1] as number
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i
  }
  while (true) {
    for (let i = 0; i < 624; i++) {
      const y = ((state[i] as number) & 0x80000000) | ((state[(i + 1) % 624] as number) & 0x7fffffff)
      state[i] = (state[(i + 397) % 624] as number) ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    for (let i = 0; i < 624; i++) {
      let y = state[i] as number
      y ^= y >>> 11
      y ^= (y << 7) & 0x9d2c5680
      y ^= (y << 15) & 0xefc60000
      yield (y ^ (y >>> 18)) >>> 0
    }
  }
}

test('MS-SSIM has the value that torchmetrics publishes, but for what 8 bits round', (t) => {
  const random = mersenneTwister(42)
  const side = 256
  let sum = 0
  for (let i = 0; i < 3; i++) {
    const image = (): Image => ({ data: new Uint8Array(side * side * 3), width: side, height: side, channels: 3 })
    const [preds, target] = [image(), image()]
    for (let channel = 0; channel < 3; channel++) {
      for (let pixel = 0; pixel < side * side; pixel++) {
        // torch.rand keeps the low 24 bits.
        const value = ((random.next().value as number) & 0xffffff) / 2 ** 24
        if (i + channel + pixel === 0) t.true(Math.abs(value - 0.8823) < 5e-5)
        preds.data[3 * pixel + channel] = Math.round(255 * value)
        target.data[3 * pixel + channel] = Math.round(255 * 0.75 * value)
      }
    }
    sum += msSsim(preds, target) as number
  }
  t.true(Math.abs(sum / 3 - 0.9627) < 1e-4, `${sum / 3}`)
})
