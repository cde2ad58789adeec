/**
 * Exits with 0 if node_modules holds what package-lock.json asks for, else with 1.
 * npm keeps its own record of what it installed; comparing the two takes milliseconds where `npm ls` takes seconds.
 * Plain JavaScript, as it runs before anything is installed.
 */
import { readFileSync } from 'node:fs'

function packages(file) {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')).packages
}

try {
  const wanted = packages('../package-lock.json')
  const present = packages('../node_modules/.package-lock.json')
  const lacking = Object.entries(wanted).some(
    // Optional packages are mostly other platforms' binaries.
    ([path, { version, optional }]) =>
      path !== '' && !optional && (present[path] === undefined || present[path].version !== version),
  )
  process.exitCode = lacking ? 1 : 0
} catch {
  process.exitCode = 1
}
