/**
 * What templates may ask of variables, read from their schema: which paths there are, and examples of values.
 */
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

type Ast = SchemaAST.AST

export interface Shape {
  /** The names of the variables, and whether each must be there. */
  readonly variables: ReadonlyMap<string, { readonly required: boolean }>
  /** A variable that can never be given to a template, since what it encodes to is no data. */
  readonly foreign: string | undefined
  /** Whether there is something in it whose form the schema does not say. */
  readonly open: boolean
  /** Whether it is the name of a field, or an index: what else stands in the path of a value is itself a value. */
  readonly isName: (segment: string) => boolean
  /** How much of a path there is: its length if all is. */
  readonly known: (path: ReadonlyArray<string | number | undefined>) => number
  /** Values with all that can be there, or with as little as there can be; `names` are the keys of records. */
  readonly sample: (much: boolean, names: ReadonlySet<string>) => { readonly [name: string]: unknown }
}

/** The shape of what a schema encodes to; `undefined` where that is no object with names. */
export const shapeOf = (schema: Schema.Top): Shape | undefined => {
  const ast = unsuspended(SchemaAST.toEncoded(schema.ast))
  if (ast._tag !== "Objects" || ast.indexSignatures.length > 0) return undefined
  const foreign = ast.propertySignatures.find(({ type }) => some(type, isForeign))
  const variables = new Map(
    ast.propertySignatures.map(({ name, type }) =>
      [String(name), { required: !SchemaAST.isOptional(type) && !mayBeUndefined(type) }] as const
    )
  )
  const names = new Set([...namesIn(schema.ast), ...namesIn(ast)])
  return {
    variables,
    foreign: foreign === undefined ? undefined : String(foreign.name),
    open: some(ast, ({ _tag }) => opens.includes(_tag)),
    isName: (segment) => names.has(segment) || /^\d+$/.test(segment),
    known: (path) => known(ast, path),
    sample: (much, names) => sample(ast, { much, names, depth: 0 }) as { readonly [name: string]: unknown }
  }
}

const unsuspended = (ast: Ast): Ast => ast._tag === "Suspend" ? unsuspended(ast.thunk()) : ast

const mayBeUndefined = (ast: Ast): boolean =>
  ast._tag === "Undefined" || ast._tag === "Union" && ast.types.some(mayBeUndefined)

const opens = ["Any", "Unknown", "ObjectKeyword", "Declaration"]

/** Whether it, or anything in it, is so. */
const some = (ast: Ast, is: (node: Ast) => boolean, seen: Set<Ast> = new Set()): boolean => {
  const node = unsuspended(ast)
  if (seen.has(node)) return false
  seen.add(node)
  if (is(node)) return true
  switch (node._tag) {
    case "Union":
      return node.types.some((type) => some(type, is, seen))
    case "Arrays":
      return [...node.elements, ...node.rest].some((type) => some(type, is, seen))
    case "Objects":
      return [...node.propertySignatures, ...node.indexSignatures].some(({ type }) => some(type, is, seen))
    case "Declaration":
      return node.typeParameters.some((type) => some(type, is, seen))
    default:
      return false
  }
}

const namesIn = (ast: Ast): ReadonlyArray<string> => {
  const names: Array<string> = []
  some(ast, (node) => {
    if (node._tag === "Objects") names.push(...node.propertySignatures.map(({ name }) => String(name)))
    return false
  })
  return names
}

/** What is no data: a date, a map, a symbol; all that has to be made into JSON first, by an annotation that says how. */
const isForeign = (node: Ast): boolean => {
  if (node._tag !== "Declaration") return node._tag === "Symbol" || node._tag === "UniqueSymbol"
  const toJson = node.annotations?.["toCodecJson"]
  if (typeof toJson !== "function") return node.annotations?.["toCodec"] !== undefined
  // What is data says so by making nothing of itself.
  return toJson(node.typeParameters) !== undefined
}

const known = (root: Ast, path: ReadonlyArray<string | number | undefined>): number => {
  let places: ReadonlyArray<Ast> | "any" = [root]
  for (const [n, segment] of path.entries()) {
    const next: ReadonlyArray<Ast> | "any" | undefined = inside(places, segment)
    if (next === undefined) return n
    if (next === "any") return path.length
    places = next
  }
  return path.length
}

/** What may be in one of several places: nothing more to ask of is an empty list, nothing at all `undefined`. */
const inside = (
  places: ReadonlyArray<Ast>,
  segment: string | number | undefined
): ReadonlyArray<Ast> | "any" | undefined => {
  const found = places.map((place) => at(unsuspended(place), segment)).filter((one) => one !== undefined)
  if (found.length === 0) return undefined
  return found.includes("any") ? "any" : (found as ReadonlyArray<ReadonlyArray<Ast>>).flat()
}

const at = (ast: Ast, segment: string | number | undefined): ReadonlyArray<Ast> | "any" | undefined => {
  switch (ast._tag) {
    case "Union":
      return inside(ast.types, segment)
    case "String":
    case "TemplateLiteral":
    case "Literal":
      return segment === "size" ? [] : undefined
    case "Arrays": {
      const items = [...ast.elements, ...ast.rest]
      if (segment === "size") return []
      if (typeof segment === "number") {
        const item = ast.elements[segment] ?? ast.rest[0]
        return item === undefined ? undefined : [item]
      }
      return segment === undefined || segment === "first" || segment === "last" ? items : undefined
    }
    case "Objects": {
      if (segment === undefined) return "any"
      const own = ast.propertySignatures.find(({ name }) => String(name) === String(segment))
      if (own !== undefined) return [own.type]
      if (ast.indexSignatures.length > 0) return ast.indexSignatures.map(({ type }) => type)
      return segment === "size" ? [] : undefined
    }
    default:
      return opens.includes(ast._tag) ? "any" : undefined
  }
}

interface Sampling {
  readonly much: boolean
  readonly names: ReadonlySet<string>
  readonly depth: number
}

/** A schema may have no end; a value has. */
const mostDepth = 12

const sample = (ast: Ast, how: Sampling): unknown => {
  const node = unsuspended(ast)
  const much = how.much && how.depth < mostDepth / 2
  const deeper = { ...how, much, depth: how.depth + 1 }
  if (how.depth > mostDepth) return null
  switch (node._tag) {
    case "Literal":
      return typeof node.literal === "bigint" ? String(node.literal) : node.literal
    case "Enum":
      return node.enums[0]?.[1] ?? "text"
    case "Number":
      return 1
    case "Boolean":
      return true
    case "Null":
      return null
    case "Undefined":
    case "Void":
      return undefined
    case "Union": {
      const empty = node.types.find((type) => type._tag === "Null" || type._tag === "Undefined")
      const full = node.types.find((type) => type._tag !== "Null" && type._tag !== "Undefined")
      const chosen = much ? full ?? empty : empty ?? full
      return chosen === undefined ? null : sample(chosen, deeper)
    }
    case "Arrays":
      return [...node.elements, ...(much ? node.rest.slice(0, 1) : [])].map((item) => sample(item, deeper))
    case "Objects": {
      const values: Record<string, unknown> = Object.create(null)
      for (const { type } of node.indexSignatures) {
        if (much) { for (const name of how.names) values[name] = sample(type, deeper) }
      }
      for (const { name, type } of node.propertySignatures) {
        if (much || !SchemaAST.isOptional(type)) {
          const value = sample(type, deeper)
          if (value !== undefined) values[String(name)] = value
        }
      }
      return values
    }
    default:
      return "text"
  }
}
