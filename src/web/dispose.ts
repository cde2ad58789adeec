/** Symbol.dispose, which some browsers with WebGPU lack: imported before anything that is written with it. */
const symbols = Symbol as { dispose?: symbol }
symbols.dispose ??= Symbol('Symbol.dispose')

export {}
