/** A canvas over a stage that shows what the stage has drawn, in other colours, by a shader. */
import { make } from '../page.js'
import type { Stage } from '../stage.js'
import SHADER from './colour-filter.glsl'
import { DENSITIES_TO_AMOUNTS, STAINS } from './stains.js'

export interface ColourChange {
  /** From -1 to 1; 0 leaves it. */
  readonly brightness: number
  /** From 0 up; 1 leaves it. */
  readonly contrast: number
  /** Above 0; 1 leaves it. */
  readonly gamma: number
  /** Number of a stain; -1 for all. */
  readonly stain: number
}

/** One triangle that covers all. */
const CORNERS = `#version 300 es
out vec2 place;
void main() {
  vec2 corner = vec2(gl_VertexID % 2, gl_VertexID / 2) * 4.0 - 1.0;
  place = corner * 0.5 + 0.5;
  gl_Position = vec4(corner, 0.0, 1.0);
}`

export class ColourFilter {
  readonly canvas = make('canvas', { class: 'filter' })
  readonly #stage: Stage
  readonly #gl: WebGL2RenderingContext
  readonly #program: WebGLProgram
  #change: ColourChange | null = null

  /** @throws Error where the browser has no WebGL 2 */
  constructor(stage: Stage) {
    this.#stage = stage
    const gl = this.canvas.getContext('webgl2', { premultipliedAlpha: true, antialias: false })
    if (!gl) throw new Error('This browser has no WebGL 2, which other colours need')
    this.#gl = gl
    this.#program = link(gl)
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture())
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST)
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE)
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true)
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true)
    const drawn = drawnCanvas(stage)
    drawn.after(this.canvas)
    stage.onDraw(() => this.draw())
  }

  set(change: ColourChange): void {
    this.#change = change
    this.draw()
  }

  /** Draws the view anew; what it has drawn can be read until the page is shown next. */
  draw(): void {
    const gl = this.#gl
    const drawn = drawnCanvas(this.#stage)
    if (!this.#change || drawn.width === 0 || drawn.height === 0) return
    const { brightness, contrast, gamma, stain } = this.#change
    if (this.canvas.width !== drawn.width) this.canvas.width = drawn.width
    if (this.canvas.height !== drawn.height) this.canvas.height = drawn.height
    gl.viewport(0, 0, drawn.width, drawn.height)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, drawn)
    const uniform = (name: string) => gl.getUniformLocation(this.#program, name)
    gl.useProgram(this.#program)
    gl.uniform1f(uniform('brightness'), brightness)
    gl.uniform1f(uniform('contrast'), contrast)
    gl.uniform1f(uniform('gamma'), gamma)
    gl.uniform1i(uniform('stain'), stain)
    // By rows.
    gl.uniformMatrix3fv(uniform('densities'), true, DENSITIES_TO_AMOUNTS.flat())
    gl.uniform3fv(uniform('direction'), [...(STAINS[Math.max(stain, 0)] ?? [0, 0, 0])])
    gl.drawArrays(gl.TRIANGLES, 0, 3)
  }

  remove(): void {
    this.#change = null
    this.canvas.remove()
    // Browsers allow only some contexts at a time.
    this.#gl.getExtension('WEBGL_lose_context')?.loseContext()
  }
}

/** What OpenSeadragon draws on. */
export function drawnCanvas(stage: Stage): HTMLCanvasElement {
  return (stage.viewer.drawer as unknown as { canvas: HTMLCanvasElement }).canvas
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram()
  for (const [type, source] of [
    [gl.VERTEX_SHADER, CORNERS],
    [gl.FRAGMENT_SHADER, SHADER],
  ] as const) {
    const shader = gl.createShader(type)
    if (!shader) throw new Error('WebGL makes no shader')
    gl.shaderSource(shader, source)
    gl.compileShader(shader)
    gl.attachShader(program, shader)
  }
  gl.linkProgram(program)
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`WebGL: ${gl.getProgramInfoLog(program)}`)
  return program
}
