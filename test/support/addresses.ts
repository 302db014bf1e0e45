/**
 * Where tests find services.
 */
export interface Address {
  readonly host: string
  readonly port: number
}

export const redis: Address = { host: "127.0.0.1", port: 6379 }

export const postgres = { host: "127.0.0.1", port: 5432, username: "postgres", database: "postgres" }
