/**
 * Which questions to a store are answered at once, as memory does it: they need neither a fiber nor a limit of time. Whoever wraps such a
 * store has functions of its own, of which that is not known.
 */
const known = new WeakSet<object>()

/** Takes note of a function whose effects never wait. */
export const atOnce = <F extends (...args: never) => unknown>(ask: F): F => {
  known.add(ask)
  return ask
}

export const isAtOnce = (ask: object): boolean => known.has(ask)
