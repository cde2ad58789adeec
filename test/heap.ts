/** The heap as the garbage collector sees it. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
/** Collects what nothing refers to any more. */
export const collect = runInNewContext('gc') as () => void

/** Bytes of the heap that something still refers to. */
export function heapUsed(): number {
  collect()
  return process.memoryUsage().heapUsed
}
