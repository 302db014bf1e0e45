/**
 * How a protocol over HTTP becomes a provider: what all adapters have in common of their constructors.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Provider from "../Provider.ts"
import * as Exchange from "./exchange.ts"
import { makeSend } from "./http.ts"

/** A provider whose options have been checked; the client comes later. */
export type MakeProvider = (client: HttpClient.HttpClient) => Provider.Provider

/** Which requests of a provider share a quota. Throws a `RangeError` where `quotaDomain` is not legal. */
export const domainOf = (
  module: string,
  quotaDomain: "account" | "model" = "account"
): Pick<Provider.Provider, "quotaDomain"> => {
  if (quotaDomain !== "account" && quotaDomain !== "model") {
    throw new RangeError(`${module}: \`quotaDomain\` must be "account" or "model", got ${JSON.stringify(quotaDomain)}`)
  }
  return quotaDomain === "model" ? { quotaDomain: (request) => request.model } : {}
}

/** A provider that asks over a channel. Throws a `RangeError` where `quotaDomain` is not legal. */
export const overChannel = (
  module: string,
  channel: Omit<Exchange.Channel, "send">,
  quotaDomain?: "account" | "model"
): MakeProvider => {
  const domain = domainOf(module, quotaDomain)
  return (client) => {
    const open: Exchange.Channel = { ...channel, send: makeSend(client, channel.endpoint.secretHeaders) }
    return {
      whole: (request) => Exchange.whole(open, request),
      stream: (request) => Exchange.stream(open, request),
      ...domain
    }
  }
}

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
