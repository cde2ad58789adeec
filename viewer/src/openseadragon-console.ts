/** OpenSeadragon's messages to the console, without those that the page gives in its own words. */
import OpenSeadragon from 'openseadragon'

/** A tile that fails is named on the page; one that comes when its slide is gone is nobody's any more. */
const SAID_ELSEWHERE = /^(Tile %s failed to load|Ignoring tile %s loaded before reset)/

export function quieten(): void {
  const speak =
    (method: 'log' | 'debug' | 'info' | 'warn' | 'error') =>
    (...words: unknown[]) => {
      if (!SAID_ELSEWHERE.test(String(words[0]))) console[method](...words)
    }
  const quiet = {
    log: speak('log'),
    debug: speak('debug'),
    info: speak('info'),
    warn: speak('warn'),
    error: speak('error'),
    assert: (...words: Parameters<typeof console.assert>) => console.assert(...words),
  }
  Object.assign(OpenSeadragon, { console: quiet })
}
