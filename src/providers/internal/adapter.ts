/**
 * How a protocol over HTTP becomes a provider: what all adapters have in common of their constructors.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Provider from "../Provider.ts"
import { embedOver, type EmbedProtocol } from "./embed.ts"
import * as Exchange from "./exchange.ts"
import { makeSend } from "./http.ts"
import { oneOf } from "./option.ts"

/** A provider whose options have been checked; the client comes later. */
export type MakeProvider = (client: HttpClient.HttpClient) => Provider.Provider

/** A provider that asks over a channel. Throws a `RangeError` where `quotaDomain` is not legal. */
export const overChannel = (
  module: string,
  channel: Omit<Exchange.Channel, "send">,
  { embedding, quotaDomain }: {
    readonly embedding?: EmbedProtocol | undefined
    readonly quotaDomain?: "account" | "model" | undefined
  }
): MakeProvider => {
  const domain = quotaDomainOf(module, quotaDomain)
  return (client) => {
    const open: Exchange.Channel = { ...channel, send: makeSend(client, channel.endpoint.secretHeaders) }
    return {
      whole: (request) => Exchange.whole(open, request),
      stream: (request) => Exchange.stream(open, request),
      ...(embedding === undefined ? undefined : { embedder: embedOver(open, embedding) }),
      ...domain
    }
  }
}

/** What shares a quota, as a field of a provider. Throws a `RangeError` where the option is not legal. */
export const quotaDomainOf = (
  module: string,
  quotaDomain: "account" | "model" | undefined
): Pick<Provider.Provider, "quotaDomain"> =>
  oneOf(module, "quotaDomain", quotaDomain, ["account", "model"]) === "model"
    ? { quotaDomain: (request) => request.model }
    : {}

/** A layer whose options come from the configuration; one that is not legal is a `ConfigError` that names it. */
export const layerFromConfig = <Self, Options>(
  provider: Provider.Key<Self>,
  options: Config.Wrap<Options>,
  prepare: (name: string, options: Options) => MakeProvider
): Layer.Layer<Self, Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(
    provider,
    Effect.flatMap(Config.unwrap(options), (options) =>
      Effect.flatMap(
        Effect.try({
          try: () => prepare(provider.providerName, options),
          catch: (error) =>
            new Config.ConfigError(
              new ConfigProvider.SourceError({ message: error instanceof Error ? error.message : "illegal options" })
            )
        }),
        (makeProvider) => Effect.map(HttpClient.HttpClient, makeProvider)
      ))
  )
