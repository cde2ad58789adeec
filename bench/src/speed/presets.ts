/** The presets of docs/network.md, and the shape of every parameter that their networks have. */
import type { ModelConfig } from 'cleric/internal'

const all = { drb: true, ls: true, iters: 2 } as const

/** As in `training/cleric_training/network/config.py`. */
export const presets = {
  paper: {
    ...{ preset: 'paper', N: 192, deep: 192, M: 320, Z: 192, slices: 10, lift: 32, ...all },
    ...{ chan: [192, 128], ep: [320, 256, 128], lrp: [224, 128], levels: 0 },
  },
  m: {
    ...{ preset: 'm', N: 96, deep: 144, M: 320, Z: 128, slices: 5, lift: 8, ...all },
    ...{ chan: [128, 96], ep: [224, 160, 128], lrp: [128, 96], levels: 8, ends: true },
  },
  s: {
    ...{ preset: 's', N: 48, deep: 96, M: 256, Z: 64, slices: 4, lift: 8, ...all },
    ...{ chan: [64, 64], ep: [128, 96, 96], lrp: [64, 64], levels: 8, ends: true },
  },
  nano: {
    ...{ preset: 'nano', N: 16, deep: 16, M: 32, Z: 16, slices: 2, lift: 4, ...all },
    ...{ chan: [16, 16], ep: [32, 24, 24], lrp: [16, 16], levels: 8 },
  },
} as const satisfies Record<string, ModelConfig>

export type Preset = keyof typeof presets

/** Shapes by name of weights, biases, GDN's parameters, lifting nets and gains. */
export function parameterShapes(config: ModelConfig): Map<string, readonly number[]> {
  const shapes = new Shapes()
  transforms(shapes, config)
  hyperTransforms(shapes, config)
  for (let i = 0; i < config.slices; i++) entropySlice(shapes, config, i)
  if (config.levels > 0) {
    for (const name of ['log_gain', 'log_inv']) shapes.all.set(name, [config.levels, config.M])
  }
  return shapes.all
}

class Shapes {
  readonly all = new Map<string, readonly number[]>()

  conv(name: string, inputs: number, outputs: number, kernel: number): void {
    this.all.set(`${name}.weight`, [outputs, inputs, kernel, kernel])
    this.all.set(`${name}.bias`, [outputs])
  }

  depthwise(name: string, channels: number): void {
    this.all.set(`${name}.weight`, [channels, 1, 3, 3])
    this.all.set(`${name}.bias`, [channels])
  }

  norm(name: string, channels: number): void {
    this.all.set(`${name}.weight`, [channels])
    this.all.set(`${name}.bias`, [channels])
  }

  gdn(name: string, channels: number): void {
    this.all.set(`${name}.beta`, [channels])
    this.all.set(`${name}.gamma`, [channels, channels])
  }

  /** Layers `name`.0, `name`.2, ... with these widths, the inputs' first. */
  chain(name: string, widths: readonly number[], kernel: number): void {
    for (const [i, outputs] of widths.slice(1).entries()) {
      this.conv(`${name}.${2 * i}`, widths[i] as number, outputs, kernel)
    }
  }

  deformable({ drb }: ModelConfig, name: string, inputs: number, outputs: number): void {
    this.conv(name, inputs, outputs, 3)
    if (drb) this.conv(`${name}.offset`, inputs, 27, 3)
  }

  drbs(config: ModelConfig, name: string, inputs: number, outputs: number): void {
    this.deformable(config, `${name}.conv1`, inputs, outputs)
    this.conv(`${name}.conv2`, outputs, outputs, 3)
    this.conv(`${name}.skip`, inputs, outputs, 1)
    this.gdn(`${name}.gdn`, outputs)
  }

  drbu(config: ModelConfig, name: string, inputs: number, outputs: number): void {
    for (const part of ['up', 'skip']) this.deformable(config, `${name}.${part}`, inputs, 4 * outputs)
    this.conv(`${name}.conv`, outputs, outputs, 3)
    this.gdn(`${name}.igdn`, outputs)
  }

  r2b(name: string, inputs: number, outputs = inputs): void {
    this.conv(`${name}.conv1`, inputs, outputs, 3)
    this.conv(`${name}.conv2`, outputs, outputs, 3)
    if (inputs !== outputs) this.conv(`${name}.skip`, inputs, outputs, 1)
  }

  lifting(name: string, hidden: number): void {
    for (const net of [`${name}.0`, `${name}.1`]) {
      this.conv(`${net}.conv1`, 1, hidden, 3)
      this.conv(`${net}.conv2`, hidden, hidden, 3)
      this.conv(`${net}.conv3`, hidden, 1, 1)
    }
  }
}

function transforms(shapes: Shapes, config: ModelConfig): void {
  const { N, deep, M } = config
  if (config.ls) {
    for (const [name, inputs] of [
      ['g_a.low', 6],
      ['g_a.high', 12],
    ] as const) {
      shapes.r2b(`${name}.0`, inputs, N)
      for (const [i, outputs] of [N, deep].entries()) {
        shapes.drbs(config, `${name}.${2 * i + 1}`, N, outputs)
        shapes.r2b(`${name}.${2 * i + 2}`, outputs)
      }
      shapes.conv(`${name}.5`, deep, M / 2, 3)
    }
    for (const side of ['g_a', 'g_s']) shapes.lifting(`${side}.lift.nets`, config.lift)
  } else {
    for (const [i, outputs] of [N, N, deep].entries()) {
      shapes.drbs(config, `g_a.net.${2 * i}`, i === 0 ? 3 : N, outputs)
      shapes.r2b(`g_a.net.${2 * i + 1}`, outputs)
    }
    shapes.conv('g_a.net.6', deep, M, 3)
  }
  for (const [i, [inputs, outputs]] of (
    [
      [M, deep],
      [deep, N],
      [N, N],
    ] as const
  ).entries()) {
    shapes.r2b(`g_s.net.${2 * i}`, inputs)
    shapes.drbu(config, `g_s.net.${2 * i + 1}`, inputs, outputs)
  }
  if (config.ls) shapes.conv('g_s.net.6', N, 12, 3)
  else {
    shapes.r2b('g_s.net.6', N)
    shapes.conv('g_s.net.7', N, 12, 3)
  }
}

function hyperTransforms(shapes: Shapes, { N, M, Z }: ModelConfig): void {
  shapes.chain('h_a.net', [M, Z, Z, Z, Z, Z], 3)
  // Inside, the paper's is as wide as the latent, the small ones' half as wide.
  const inner = N >= presets.paper.N ? M : M / 2
  for (const [layer, inputs, outputs] of [
    [0, Z, inner],
    [2, inner, 4 * inner],
    [5, inner, 1.5 * inner],
    [7, 1.5 * inner, 6 * inner],
    [10, 1.5 * inner, 2 * M],
  ] as const) {
    shapes.conv(`h_s.net.${layer}`, inputs, outputs, 3)
  }
}

function entropySlice(shapes: Shapes, { M, slices, chan, ep, lrp }: ModelConfig, i: number): void {
  const d = M / slices
  const project = (name: string, channels: number) => {
    for (const part of ['q', 'k', 'v']) {
      shapes.conv(`${name}.qkv.${part}.0`, channels, channels, 1)
      shapes.depthwise(`${name}.qkv.${part}.1`, channels)
    }
  }
  const gated = (name: string, inputs: number) => {
    shapes.conv(`${name}.mlp.0`, inputs, 4 * d, 1)
    shapes.depthwise(`${name}.mlp.2`, 4 * d)
    shapes.conv(`${name}.mlp.4`, 4 * d, 2 * d, 1)
  }
  const local = `mem.local.${i}`
  shapes.norm(`${local}.norm1`, d)
  shapes.conv(`${local}.qkv`, d, 3 * d, 1)
  shapes.all.set(`${local}.attention.bias`, [81, 2])
  shapes.conv(`${local}.fusion`, d, 2 * d, 5)
  shapes.conv(`${local}.proj`, 2 * d, 2 * d, 1)
  shapes.norm(`${local}.norm2`, 2 * d)
  shapes.chain(`${local}.mlp`, [2 * d, 4 * d, 2 * d], 1)
  if (i > 0) {
    project(`mem.inter.${i}`, d * i)
    shapes.conv(`mem.inter.${i}.reproj`, d * i, 3 * d, 5)
    shapes.conv(`mem.inter.${i}.skip`, 3 * d, 2 * d, 1)
    gated(`mem.inter.${i}`, 3 * d)
    project(`mem.intra.${i}`, d)
    shapes.conv(`mem.intra.${i}.reproj`, d, 2 * d, 5)
    gated(`mem.intra.${i}`, 2 * d)
    shapes.chain(`mem.channel.${i}`, [d * i, ...chan, 4 * d], 3)
  }
  shapes.chain(`mem.ep_a.${i}`, [2 * M + (i > 0 ? 6 * d : 0), ...ep, 2 * d], 1)
  shapes.chain(`mem.ep_n.${i}`, [2 * M + (i > 0 ? 10 * d : 2 * d), ...ep, 2 * d], 1)
  for (const half of ['a', 'n']) shapes.chain(`mem.lrp_${half}.${i}`, [M + d * (i + 1), ...lrp, d], 3)
}
