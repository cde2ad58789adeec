/**
 * MEM++: the multi-reference entropy model (docs/network.md, "Entropy model"; MLIC++, arXiv 2307.15421).
 *
 * The latent is coded slice by slice, in each the anchor half of a checkerboard first. Encoder and decoder
 * build their graphs from this one class, so both compute the same distributions from the same symbols: in integers,
 * which come out the same on every device.
 */

import type { GraphBuilder } from './builder.js'
import type { ModelConfig } from './config.js'
import { type Half, LATENT_STEPS, type Tensor } from './graph.js'

/** Channels a head of the inter-slice attention. */
const CHANNELS_PER_HEAD = 32
/** Heads of the local and of the intra-slice attention. */
const HEADS = 2

export class EntropyModel {
  readonly #g: GraphBuilder
  readonly #config: ModelConfig
  readonly #hyper: Tensor
  readonly #hyperMeans: Tensor
  /** y_hat of the slices decoded so far, in 1/64. */
  readonly #done: Tensor[] = []
  /** The same as activations, what the layers read. */
  readonly #seen: Tensor[] = []
  /** Inter-slice and channel context of the current slice; empty for the first. */
  #contexts: readonly Tensor[] = []

  /** @param hyper activations, 2M x h x w, from h_s */
  constructor(g: GraphBuilder, config: ModelConfig, hyper: Tensor) {
    this.#g = g
    this.#config = config
    g.expectChannels(hyper, 2 * config.M)
    this.#hyper = hyper
    this.#hyperMeans = g.slice('hyper means', hyper, config.M, config.M)
  }

  /** Channels a slice. */
  get width(): number {
    return this.#config.M / this.#config.slices
  }

  /** Scales and means (in 1/64), 2d x h x w, of the current slice's anchors. */
  anchorParams(): Tensor {
    const i = this.#done.length
    if (i > 0) this.#contexts = [this.#interContext(i), this.#channelContext(i)]
    return this.#params('mem.ep_a', this.#contexts)
  }

  /** Scales and means of the current slice's other half. @param anchors from {@link decodeHalf} */
  nonAnchorParams(anchors: Tensor): Tensor {
    const local = this.#localContext(anchors)
    const intra = this.#done.length > 0 ? [this.#intraContext(this.#activation(anchors, ' anchors'))] : []
    return this.#params('mem.ep_n', [local, ...intra, ...this.#contexts])
  }

  /**
   * y_hat in 1/64 of one half from its symbols, latent residual prediction included.
   *
   * @param base the anchors' y_hat when the other half is decoded; the result then holds both
   */
  decodeHalf(symbols: Tensor, params: Tensor, keep: Half, base: Tensor | null): Tensor {
    const i = this.#done.length
    const net = `mem.lrp_${keep === 'anchor' ? 'a' : 'n'}.${i}`
    const coarse = this.#g.dequantise(`y_hat.${i} ${keep} coarse`, symbols, params, base, keep)
    const inputs = [this.#hyperMeans, ...this.#seen, this.#activation(coarse, ` ${keep} coarse`)]
    return this.#g.chain(net, inputs, 3, this.#config.lrp.length + 1, {
      table: true,
      range: 'wide',
      residual: coarse,
      keep,
    })
  }

  /** Ends the current slice. @param yHat both halves */
  endSlice(yHat: Tensor): void {
    // No layer reads the last one.
    if (this.#done.length < this.#config.slices - 1) this.#seen.push(this.#activation(yHat))
    this.#done.push(yHat)
  }

  /** y_hat, M x h x w, in floating point, after the last slice. */
  latent(): Tensor {
    return this.#g.scale(this.#g.concat('y_hat', this.#done), 1 / LATENT_STEPS)
  }

  /** y_hat of the current slice, in part or whole, as layers read it. */
  #activation(yHat: Tensor, part = ''): Tensor {
    const name = `mem.y_hat.${this.#done.length}`
    return this.#g.requantise(name, yHat, `${name}${part}`)
  }

  #params(name: string, contexts: readonly Tensor[]): Tensor {
    const net = `${name}.${this.#done.length}`
    const inputs = [...contexts, this.#hyper]
    const params = this.#g.chain(net, inputs, 1, this.#config.ep.length + 1, { range: 'wide' })
    this.#g.expectChannels(params, 2 * this.width)
    return params
  }

  #channelContext(i: number): Tensor {
    return this.#g.chain(`mem.channel.${i}`, this.#seen, 3, this.#config.chan.length + 1)
  }

  #interContext(i: number): Tensor {
    const g = this.#g
    const name = `mem.inter.${i}`
    const project = (part: string) =>
      g.integerDepthwise(`${name}.qkv.${part}.1`, g.integerConv(`${name}.qkv.${part}.0`, this.#seen, 1))
    const count = Math.max(1, Math.floor((this.width * i) / CHANNELS_PER_HEAD))
    const attended = g.integerLinearAttention(
      `${name}.attention`,
      [project('q'), project('k'), project('v')],
      count,
      false,
    )
    const x = g.integerConv(`${name}.reproj`, attended, 5)
    return this.#gated(name, x, g.integerConv(`${name}.skip`, x, 1))
  }

  /** @param anchors as activations */
  #intraContext(anchors: Tensor): Tensor {
    const g = this.#g
    const name = `mem.intra.${this.#done.length}`
    const previous = this.#seen[this.#seen.length - 1] as Tensor
    const project = (part: string, x: Tensor) =>
      g.integerDepthwise(`${name}.qkv.${part}.1`, g.integerConv(`${name}.qkv.${part}.0`, x, 1))
    const query = project('q', g.mask(previous, 'nonAnchor'))
    const key = project('k', g.mask(previous, 'anchor'))
    const attended = g.integerLinearAttention(`${name}.attention`, [query, key, project('v', anchors)], HEADS, true)
    const x = g.integerConv(`${name}.reproj`, attended, 5)
    return this.#gated(name, x, x)
  }

  /** skip + [1x1, GELU, depthwise 3x3, GELU, 1x1](x) */
  #gated(name: string, x: Tensor, skip: Tensor): Tensor {
    const g = this.#g
    const hidden = g.integerDepthwise(`${name}.mlp.2`, g.integerConv(`${name}.mlp.0`, x, 1, { table: true }), true)
    return g.integerConv(`${name}.mlp.4`, hidden, 1, { residual: skip })
  }

  /** @param anchors in 1/64 */
  #localContext(anchors: Tensor): Tensor {
    const g = this.#g
    const name = `mem.local.${this.#done.length}`
    const qkv = g.integerConv(`${name}.qkv`, g.integerLayerNorm(`${name}.norm1`, anchors), 1)
    const windows = g.integerWindowAttention(`${name}.attention`, qkv, HEADS)
    const x = g.integerConv(`${name}.proj`, g.integerConv(`${name}.fusion`, windows, 5, { stride: 5 }), 1)
    const normed = g.integerLayerNorm(`${name}.norm2`, x)
    return g.chain(`${name}.mlp`, normed, 1, 2, { residual: x })
  }
}
