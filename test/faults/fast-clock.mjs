/** A clock of which five seconds pass in one: what is said every few seconds is said soon. */
const now = performance.now.bind(performance)
performance.now = () => 5 * now()
