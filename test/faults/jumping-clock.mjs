// The clock of the system, as a program sees it that is set a day forth and back at every look.
const now = Date.now
let looks = 0
Date.now = () => now() + (looks++ % 2 === 0 ? -86_400_000 : 86_400_000)
globalThis.Date = class extends Date {
  constructor(...when) {
    super(...(when.length === 0 ? [Date.now()] : when))
  }
}
