#!/usr/bin/env node
/**
 * The command: `main.ts`, with as many threads for pictures as there are cores.
 *
 * Node.js has four for all that it does aside, however many cores there are, unless a variable says otherwise before the
 * first of them is needed. Reading an ES module needs one, so this is none. A checked compression encodes an AVIF on
 * each: where many tiles become AVIFs, four would keep a GPU waiting.
 */
import os = require('node:os')

process.env.UV_THREADPOOL_SIZE ??= String(Math.max(4, os.availableParallelism()))
import('./main.js')
