/**
 * MEM++: the multi-reference entropy model (architecture.md, "MEM++"; MLIC++, arXiv 2307.15421).
 *
 * The latent is coded slice by slice, in each the anchor half of a checkerboard first. Encoder and decoder
 * build their graphs from this one class, so both compute the same distributions from the same symbols.
 */
import type { ModelConfig } from '../model/config.js'
import type { GraphBuilder } from './builder.js'
import type { Half, Tensor } from './graph.js'

/** Channels a head of the inter-slice attention. */
const channelsPerHead = 32
/** Heads of the local and of the intra-slice attention. */
const heads = 2

export class EntropyModel {
  readonly #g: GraphBuilder
  readonly #config: ModelConfig
  readonly #hyper: Tensor
  readonly #hyperMeans: Tensor
  /** y_hat of the slices decoded so far. */
  readonly #done: Tensor[] = []
  /** Inter-slice and channel context of the current slice; empty for the first. */
  #contexts: readonly Tensor[] = []

  /** @param hyper 2M x h x w, from h_s */
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

  /** Scales and means, 2d x h x w, of the current slice's anchors. */
  anchorParams(): Tensor {
    const i = this.#done.length
    if (i > 0) this.#contexts = [this.#interContext(i), this.#channelContext(i)]
    return this.#params('mem.ep_a', this.#contexts)
  }

  /** Scales and means of the current slice's other half. @param anchors from {@link decodeHalf} */
  nonAnchorParams(anchors: Tensor): Tensor {
    const local = this.#localContext(anchors)
    const intra = this.#done.length > 0 ? [this.#intraContext(anchors)] : []
    return this.#params('mem.ep_n', [local, ...intra, ...this.#contexts])
  }

  /**
   * y_hat of one half from its symbols, latent residual prediction included.
   *
   * @param base the anchors' y_hat when the other half is decoded; the result then holds both
   */
  decodeHalf(symbols: Tensor, params: Tensor, keep: Half, base: Tensor | null): Tensor {
    const i = this.#done.length
    const net = `mem.lrp_${keep === 'anchor' ? 'a' : 'n'}.${i}`
    const coarse = this.#g.dequantise(`y_hat.${i} ${keep} coarse`, symbols, params, base, keep)
    return this.#g.chain(net, [this.#hyperMeans, ...this.#done, coarse], this.#config.lrp.length + 1, {
      activation: 'tanh',
      scale: 0.5,
      residual: coarse,
      keep,
    })
  }

  /** Ends the current slice. @param yHat both halves */
  endSlice(yHat: Tensor): void {
    this.#done.push(yHat)
  }

  /** y_hat, M x h x w, after the last slice. */
  latent(): Tensor {
    return this.#g.concat('y_hat', this.#done)
  }

  #params(name: string, contexts: readonly Tensor[]): Tensor {
    const params = this.#g.chain(`${name}.${this.#done.length}`, [...contexts, this.#hyper], this.#config.ep.length + 1)
    this.#g.expectChannels(params, 2 * this.width)
    return params
  }

  #channelContext(i: number): Tensor {
    return this.#g.chain(`mem.channel.${i}`, this.#done, this.#config.chan.length + 1)
  }

  #interContext(i: number): Tensor {
    const g = this.#g
    const name = `mem.inter.${i}`
    const project = (part: string) => g.depthwise(`${name}.qkv.${part}.1`, g.conv(`${name}.qkv.${part}.0`, this.#done))
    const count = Math.max(1, Math.floor((this.width * i) / channelsPerHead))
    const attended = g.linearAttention(`${name}.attention`, [project('q'), project('k'), project('v')], count, false)
    const x = g.conv(`${name}.reproj`, attended)
    return this.#gated(name, x, g.conv(`${name}.skip`, x))
  }

  #intraContext(anchors: Tensor): Tensor {
    const g = this.#g
    const name = `mem.intra.${this.#done.length}`
    const previous = this.#done[this.#done.length - 1] as Tensor
    const project = (part: string, x: Tensor) =>
      g.depthwise(`${name}.qkv.${part}.1`, g.conv(`${name}.qkv.${part}.0`, x))
    const query = project('q', g.mask(previous, 'nonAnchor'))
    const key = project('k', g.mask(previous, 'anchor'))
    const attended = g.linearAttention(`${name}.attention`, [query, key, project('v', anchors)], heads, true)
    const x = g.conv(`${name}.reproj`, attended)
    return this.#gated(name, x, x)
  }

  /** skip + [1x1, GELU, depthwise 3x3, GELU, 1x1](x) */
  #gated(name: string, x: Tensor, skip: Tensor): Tensor {
    const g = this.#g
    const hidden = g.depthwise(`${name}.mlp.2`, g.conv(`${name}.mlp.0`, x, { activation: 'gelu' }), 'gelu')
    return g.conv(`${name}.mlp.4`, hidden, { residual: skip })
  }

  #localContext(anchors: Tensor): Tensor {
    const g = this.#g
    const name = `mem.local.${this.#done.length}`
    const qkv = g.conv(`${name}.qkv`, g.layerNorm(`${name}.norm1`, anchors))
    const windows = g.windowAttention(`${name}.bias`, qkv, heads)
    const x = g.conv(`${name}.proj`, g.conv(`${name}.fusion`, windows, { stride: 5, padding: 0 }))
    const normed = g.layerNorm(`${name}.norm2`, x)
    return g.chain(`${name}.mlp`, normed, 2, { residual: x })
  }
}
