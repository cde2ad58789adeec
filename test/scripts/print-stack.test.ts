/** What continuous integration preloads into the processes of the tests. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const library = fileURLToPath(new URL('../../build/Release/print_stack.so', import.meta.url))
const onLinux = process.platform === 'linux' ? test : test.skip

function node(code: string): Promise<{ signal: unknown; stdout: string; stderr: string }> {
  const env = { ...process.env, LD_PRELOAD: library }
  return new Promise((resolve) => {
    // No core of what is meant to die.
    execFile(
      'bash',
      ['-c', 'ulimit -c 0; exec "$0" -e "$1"', process.execPath, code],
      { env, timeout: 60_000 },
      (error, stdout, stderr) => resolve({ signal: error?.signal ?? null, stdout, stderr }),
    )
  })
}

onLinux('a process that aborts prints its native stack, and still dies of the signal', async (t) => {
  t.true(existsSync(library), 'npm run build:addon-tests makes it')
  const { signal, stderr } = await node('process.abort()')
  t.is(signal, 'SIGABRT')
  t.regex(stderr, /--- process \d+ dies of signal 6, which is SIGABRT; its native stack:\n.* -e process\.abort\(\) \n/)
  // Some releases of the C library, 2.41 for one, write a space before the address.
  t.regex(stderr, /libc\.so\.6\(.*\) ?\[0x[0-9a-f]+\]\n/)
})

onLinux('other processes are as they were', async (t) => {
  const { signal, stdout, stderr } = await node('console.log(2 + 2)')
  t.deepEqual([signal, stdout, stderr], [null, '4\n', ''])
  t.is((await node('process.kill(process.pid, "SIGSEGV")')).signal, 'SIGSEGV')
})
