/**
 * Where tests find services.
 */
import { connect } from "node:net"

export interface Address {
  readonly host: string
  readonly port: number
}

export const redis: Address = { host: "127.0.0.1", port: 6379 }

export const postgres = { host: "127.0.0.1", port: 5432, username: "postgres", database: "postgres" }

/** Whether somebody is there. */
export const listens = ({ host, port }: Address): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 500 })
    const settle = (listening: boolean) => {
      socket.destroy()
      resolve(listening)
    }
    socket.on("connect", () => settle(true))
    socket.on("error", () => settle(false))
    socket.on("timeout", () => settle(false))
  })
