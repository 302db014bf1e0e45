/**
 * What a call is to a cache: its key, and the tags by which its answer can be invalidated.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Call, Request } from "../../core/Call.ts"
import { digest } from "../../core/internal/digest.ts"
import { targetOf } from "../../core/internal/target.ts"
import * as Plan from "../../core/Plan.ts"
import { MinimumQuality } from "../../policies/internal/cascade.ts"
import { type Scope, scopeParts, tagNames, textOf } from "../CacheKey.ts"
import type { Engine } from "./cacheEngine.ts"
import type { Settings } from "./cacheSettings.ts"
import { canonical } from "./canonical.ts"
import { makeModels, requestOf } from "./keyRequest.ts"

export interface Identity {
  readonly key: string
  readonly tags: ReadonlyArray<string>
}

// ---- tags: what they are made from, each kind apart from the others ----

export const ownTag = (name: string): string => canonical(["tag", name.normalize("NFC")])
export const modelTag = (model: string): string => canonical(["model", model])
export const promptTag = (name: string, version?: number): string =>
  canonical(["prompt", name.normalize("NFC"), version])
export const scopeTag = (scope: Scope): string => canonical(["scope", ...scopeParts(scope)])

/** The tags of who may see an answer: what is a user's is also their tenant's. */
const scopeTags = (scope: Scope): ReadonlyArray<string> =>
  scope._tag === "User"
    ? [scopeTag(scope), scopeTag({ _tag: "Tenant", tenant: scope.tenant })]
    : [scopeTag(scope)]

// ---- identity ----

/** Tells what calls of a plan are; nothing where the cache must be passed by. */
export type Identify = (
  engine: Engine,
  call: Call,
  names: ReadonlyArray<string>
) => Effect.Effect<Identity | undefined>

export const makeIdentify = (plan: Plan.Plan, settings: Settings): Identify => {
  const models = makeModels(plan)
  const asked = [...new Set(Plan.models(plan))]
  const modelTags = asked.map(modelTag)
  const byQuality = some(plan, ({ policy }) => policy === "cascade")

  const identify = (
    engine: Engine,
    call: Call,
    scope: Scope,
    own: unknown,
    names: ReadonlyArray<string>,
    quality: number
  ): Effect.Effect<Identity | undefined> => {
    const ownTags = tagNames([...settings.tags(call), ...names])
    const { prompt, request } = call
    const text = textOf(models, { scope, request, prompt, tags: ownTags, own, quality })
    const texts = [
      ...scopeTags(scope),
      ...modelTags,
      ...(prompt === undefined ? [] : [promptTag(prompt.name), promptTag(prompt.name, prompt.version)]),
      ...ownTags.map(ownTag)
    ]
    return Effect.flatMap(digest(text), (key) => Effect.map(engine.tagsOf(texts), (tags) => ({ key, tags })))
  }

  return (engine, call, names) =>
    Effect.withFiber((fiber) => {
      // It decides which of the models are asked.
      const quality = byQuality ? fiber.getRef(MinimumQuality) : 0
      const scope = settings.scope(call)
      if (scope === undefined) return Effect.succeed(undefined)
      const own = settings.own?.(call)
      if (settings.own !== undefined && own === undefined) return Effect.succeed(undefined)
      const of = (own: unknown) => attempt(() => identify(engine, call, scope, own, names, quality))
      return call.prepare === undefined
        ? of(own)
        : Effect.flatMap(prepared(call, asked), (changed) =>
          changed === undefined ? of(own) : of({ own: own ?? requestOf(call.request), prepared: changed }))
    })
}

const some = (plan: Plan.Plan, is: (plan: Plan.Plan) => boolean): boolean =>
  is(plan) || plan.children.some((child) => some(child, is))

/** What cannot be written down, because it contains itself, cannot be sent either: whoever sends it says so. */
const attempt = (
  identify: () => Effect.Effect<Identity | undefined>
): Effect.Effect<Identity | undefined> => {
  try {
    return identify()
  } catch {
    return Effect.succeed(undefined)
  }
}

/**
 * What policies further out make of the request for each of the models, where that is another one: what they cut off of it is not asked,
 * and two calls that only differ in how they are cut are two.
 */
const prepared = (call: Call, models: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<unknown> | undefined> => {
  // It would say on the receipt what it does. It does it again when the request is sent.
  const tried = call.recorder.trying(Effect.forEach(models, (model) => {
    const target = targetOf(model)
    return target === undefined
      ? Effect.succeed(undefined)
      : Effect.map(
        Effect.exit(call.prepare!(target, call.request)),
        (exit) => Exit.isFailure(exit) ? "refused" : sameRequest(exit.value, call.request)
      )
  }))
  return Effect.map(tried, (changed) => changed.every((one) => one === undefined) ? undefined : changed)
}

const sameRequest = (prepared: Request, request: Request): unknown =>
  prepared === request ? undefined : [requestOf(prepared), prepared.settings]
