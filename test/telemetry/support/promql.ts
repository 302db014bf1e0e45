/**
 * What a PromQL expression reads, which labels its answer has, and what is wrong with it.
 *
 * Stricter than Prometheus, to which a name that nobody defines is no error, and a label that is never there an empty one. What it does
 * not know is a problem too, so that nothing goes unchecked.
 */
import { parser } from "@prometheus-io/lezer-promql"

/** The labels of the series of each name. */
export type Catalogue = ReadonlyMap<string, ReadonlyArray<string>>

/** One selector: the series of a name, and what their labels must be. */
export interface Selector {
  readonly name: string
  readonly matchers: ReadonlyArray<{ readonly label: string; readonly operator: string; readonly value: string }>
}

export interface Read {
  /** The labels of the answer, in the order of `by`; nothing where it is a number. */
  readonly labels: ReadonlyArray<string> | undefined
  readonly selectors: ReadonlyArray<Selector>
  readonly problems: ReadonlyArray<string>
}

interface Node {
  readonly name: string
  readonly text: string
  readonly children: ReadonlyArray<Node>
}

type Labels = ReadonlyArray<string> | undefined

/** Functions whose answer has the labels of what is given to them. */
const kept = [
  "increase",
  "rate",
  "avg_over_time",
  "sum_over_time",
  "min_over_time",
  "max_over_time",
  "last_over_time",
  "round",
  "clamp_min",
  "clamp_max"
]

const tree = (expression: string): Node => {
  const stack: Array<{ readonly name: string; readonly from: number; readonly children: Array<Node> }> = []
  let root: Node | undefined
  parser.parse(expression).iterate({
    enter: ({ from, name }) => void stack.push({ name, from, children: [] }),
    leave: ({ from, to }) => {
      const { children, name } = stack.pop()!
      root = { name, text: expression.slice(from, to), children }
      stack.at(-1)?.children.push(root)
    }
  })
  return root!
}

const quoted = (text: string): string => text.slice(1, -1).replaceAll(/\\(.)/g, "$1")

const child = (node: Node, name: string): Node | undefined => node.children.find((one) => one.name === name)

const names = (node: Node | undefined): ReadonlyArray<string> => node?.children.map(({ text }) => text) ?? []

const same = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.length === other.length && one.every((label) => other.includes(label))

/** Reads an expression. */
export const read = (expression: string, catalogue: Catalogue): Read => {
  const selectors: Array<Selector> = []
  const problems: Array<string> = []

  const demand = (node: Node, labels: Labels, wanted: ReadonlyArray<string>): void => {
    for (const label of wanted) {
      if (labels?.includes(label) !== true) {
        problems.push(`no label ${label} in ${node.text}`)
      }
    }
  }

  const selector = (node: Node): Labels => {
    const name = child(node, "Identifier")?.text
    const labels = name === undefined ? undefined : catalogue.get(name)
    if (name === undefined || labels === undefined) {
      problems.push(`nobody defines ${node.text}`)
      return []
    }
    const matchers = (child(node, "LabelMatchers")?.children ?? []).map((matcher) => ({
      label: child(matcher, "LabelName")?.text ?? "",
      operator: child(matcher, "MatchOp")?.text ?? "",
      value: quoted(child(matcher, "StringLiteral")?.text ?? "")
    }))
    demand(node, labels, matchers.map(({ label }) => label))
    selectors.push({ name, matchers })
    return labels
  }

  const aggregate = (node: Node): Labels => {
    const inner = labelsOf(child(node, "FunctionCallBody")?.children.at(-1))
    const modifier = child(node, "AggregateModifier")
    if (inner === undefined) problems.push(`a number is no series: ${node.text}`)
    if (modifier === undefined) return []
    const listed = names(child(modifier, "GroupingLabels"))
    demand(node, inner, listed)
    return child(modifier, "By") === undefined ? inner?.filter((label) => !listed.includes(label)) : listed
  }

  const call = (node: Node): Labels => {
    const name = child(node, "FunctionIdentifier")?.text ?? ""
    const given = child(node, "FunctionCallBody")?.children ?? []
    const labels = given.map(labelsOf).find((one) => one !== undefined)
    if (kept.includes(name)) return labels
    switch (name) {
      case "histogram_quantile": {
        demand(node, labels, ["le"])
        return labels?.filter((label) => label !== "le")
      }
      case "label_replace": {
        return [...labels ?? [], quoted(given[1]?.text ?? "")]
      }
      case "absent":
      case "vector": {
        return []
      }
      case "scalar": {
        if (labels?.length !== 0) problems.push(`more than one series may be in ${node.text}`)
        return undefined
      }
    }
    problems.push(`${name} is not known here`)
    return labels
  }

  const binary = (node: Node): Labels => {
    const [left, right] = [node.children.at(0), node.children.at(-1)].map(labelsOf)
    if (left === undefined || right === undefined) return left ?? right
    if (child(node, "Or") !== undefined) return [...left, ...right.filter((label) => !left.includes(label))]
    const matching = child(node, "MatchingModifierClause")
    if (matching === undefined) {
      // What has other labels has no partner.
      if (!same(left, right)) problems.push(`labels ${left.join(", ")} meet ${right.join(", ")}: ${node.text}`)
      return left
    }
    const listed = names(child(matching, "GroupingLabels"))
    const on = child(matching, "On") !== undefined
    for (const side of on ? [left, right] : [[...left, ...right]]) demand(node, side, listed)
    if (child(matching, "GroupLeft") !== undefined || child(node, "And") !== undefined) return left
    return on ? listed : left.filter((label) => !listed.includes(label))
  }

  const labelsOf = (node: Node | undefined): Labels => {
    switch (node?.name) {
      case "VectorSelector": {
        return selector(node)
      }
      case "AggregateExpr": {
        return aggregate(node)
      }
      case "FunctionCall": {
        return call(node)
      }
      case "BinaryExpr": {
        return binary(node)
      }
      case "PromQL":
      case "ParenExpr":
      case "MatrixSelector":
      case "SubqueryExpr":
      case "OffsetExpr":
      case "UnaryExpr": {
        return labelsOf(node.children.find(({ name }) => name !== "UnaryOp"))
      }
      case "NumberDurationLiteral":
      case "StringLiteral": {
        return undefined
      }
    }
    problems.push(`${node?.name ?? "nothing"} is not known here: ${node?.text ?? expression}`)
    return []
  }

  const root = tree(expression)
  const broken = (node: Node): boolean => node.name === "⚠" || node.children.some(broken)
  if (broken(root)) return { labels: [], selectors, problems: [`it does not parse: ${expression}`] }
  const labels = labelsOf(root)
  return { labels, selectors, problems }
}
