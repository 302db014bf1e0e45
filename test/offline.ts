/**
 * Preloaded into processes that must do without a network: whoever connects to anything but this machine gets an error.
 */
import * as Net from "node:net"

const local = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/

const connect = Net.Socket.prototype.connect

Net.Socket.prototype.connect = function(this: Net.Socket, ...args: Array<unknown>) {
  // Node itself passes its options in an array.
  const [options, host] = args.flat()
  const target = typeof options === "number" ? host : (options as { readonly host?: unknown } | undefined)?.host
  if (typeof target === "string" && !local.test(target)) {
    return this.destroy(new Error(`There is no network here, and ${target} is not this machine`))
  }
  return Reflect.apply(connect, this, args) as Net.Socket
}
