/**
 * `npm run bench`: what a call, a part and keeping the money cost, beside other libraries on the same work, in one run.
 *
 * Writes `docs/benchmarks.md`. Times differ from machine to machine and from day to day; ratios of one run say more.
 */
import { writeFile } from "node:fs/promises"
import { cpus } from "node:os"
import { measureStores, memoryVerdict, storesTable } from "./budgetStores.ts"
import * as Bulwark from "./bulwark.ts"
import { cacheTables } from "./cache.ts"
import * as Decoding from "./decoding.ts"
import { enforceTable } from "./enforce.ts"
import { ledgerTable } from "./ledger.ts"
import { measure, micros, ratio, rounds, share, table } from "./measure.ts"
import { overspendTable } from "./overspend.ts"
import * as Peers from "./peers.ts"
import { promptsTable } from "./prompts.ts"
import { telemetryTable } from "./telemetry.ts"
import { tokensTable } from "./tokens.ts"

const deltas = 1_000

// ---- a call ----

const calls = await measure({
  ...Object.fromEntries(
    Object.entries(Bulwark.stacks).map(([name, llm]) => [`Bulwark: ${name}`, Bulwark.generate(llm)])
  ),
  "Effect: naive operators (retry, timeouts, catch)": Bulwark.naive(),
  "cockatiel: plain function": Peers.plainFunction,
  "cockatiel: retry, breaker, timeout": Peers.cockatiel,
  "LangChain: fake model": Peers.langchainBare(),
  "LangChain: fake model, withRetry, withFallbacks": Peers.langchain(),
  "AI SDK: generateText, its own 2 retries": Peers.aiGenerate()
}, 200)

const call = (name: string): number => calls[name] ?? Number.NaN
const bare = call("Bulwark: bare provider")
const reference = call("cockatiel: retry, breaker, timeout") - call("cockatiel: plain function")
const added: Record<string, number> = {
  ...Object.fromEntries(
    Object.keys(Bulwark.stacks).slice(1).map((name) => [`Bulwark: ${name}`, call(`Bulwark: ${name}`) - bare])
  ),
  "cockatiel: retry, breaker, timeout": reference,
  "LangChain: fake model, withRetry, withFallbacks": call("LangChain: fake model, withRetry, withFallbacks") -
    call("LangChain: fake model")
}

const callTable = table(
  ["One call", "µs", "added by the policies, µs", "÷ cockatiel's three policies"],
  Object.keys(calls).map((name) => {
    const cost = added[name]
    return [
      name,
      micros(call(name)),
      cost === undefined ? "" : micros(cost),
      cost === undefined ? "" : ratio(cost / reference)
    ]
  })
)

// ---- a part ----

const streams = await measure({
  "Effect: the provider's stream itself": Bulwark.rawStream(deltas),
  ...Object.fromEntries(
    Object.entries(Bulwark.stacks)
      .filter(([name]) => name === "bare provider" || name === "Llm.standard" || name === "+ retry")
      .map(([name, llm]) => [`Bulwark: ${name}`, Bulwark.stream(llm, deltas)])
  ),
  "LangChain: fake model": Peers.langchainStream(deltas),
  "AI SDK: streamText": Peers.aiStream(deltas)
}, 300)

const raw = streams["Effect: the provider's stream itself"] ?? Number.NaN
const streamTable = table(
  [`One part of ${deltas.toLocaleString("en")}`, "µs", "added to the provider's stream, µs"],
  Object.entries(streams).map(([name, total]) => [
    name,
    micros(total / deltas),
    name.startsWith("Bulwark") ? micros((total - raw) / deltas) : ""
  ])
)

// ---- an event ----

const events = 10_000

const decodingTable = async (name: string, { answer, readers }: Decoding.Decoding) => {
  const sizes = Object.keys(Decoding.sizes) as ReadonlyArray<Decoding.Size>
  const measured: Array<Record<string, number>> = []
  for (const size of sizes) {
    measured.push(await measure(await readers(size), 300, 4))
  }
  const names = Object.keys(measured[0] ?? {})
  const ours = names[0] ?? ""
  const rows = names.map((reader) =>
    [
      [reader],
      measured.map((times) => {
        const time = times[reader] ?? Number.NaN
        return [
          micros(time / answer.events),
          (answer.bytes.length / time).toFixed(0),
          ratio(time / (times[ours] ?? Number.NaN))
        ]
      })
    ].flat(2)
  )
  const head = [name, ...sizes.flatMap((size) => [`${size}: µs an event`, "MB/s", "÷ Bulwark"])]
  return { rows, text: table(head, rows) }
}

const decodings: Array<{ readonly rows: ReadonlyArray<ReadonlyArray<string>>; readonly text: string }> = []
for (const [name, decoding] of Object.entries(Decoding.decodings(events))) {
  decodings.push(await decodingTable(name, decoding))
}

// ---- money ----

const stores = await measureStores()
const enforced = await enforceTable()
const tokens = await tokensTable()
const ledger = await ledgerTable()
const overspend = await overspendTable(1_000)

// ---- answers that are kept, and prompts ----

const cache = await cacheTables()
const prompts = await promptsTable()

// ---- what is told of calls ----

const telemetry = await telemetryTable()

const stack = added["Bulwark: Llm.standard"] ?? Number.NaN
const perPart = ((streams["Bulwark: Llm.standard"] ?? Number.NaN) - raw) / deltas
const verdict = [
  `- \`Llm.standard\` with two models and \`resume\` adds ${
    micros(stack)
  } µs to a call of the bare provider (target: at most 10),`,
  `  ${ratio(stack / reference)} what cockatiel's retry, breaker and timeout add.`,
  `- Streaming through it adds ${
    micros(perPart)
  } µs a part: silence and the deadline are each watched with every part.`,
  "- Reading one event of a stream, from bytes to parts, beside the official SDKs (target: they take at least 3 × as long):",
  ...decodings.map(({ rows }) => {
    const [sdk, least] = [rows[1] ?? [], rows.at(-1) ?? []]
    return `  - ${sdk[0]}: ${sdk[3]}, where events come one at once ${sdk[6]}; what nobody can do without: ${
      least[3]
    }, ${least[6]}`
  }),
  `- Reserving and settling in memory (target: at most 5 µs of the processor): ${memoryVerdict(stores)}.`
].join("\n")

const page = `# Benchmarks

What Bulwark itself costs, beside other libraries on the same work. Written by \`npm run bench\`: one run, one process, models that
answer at once, for each task the best median of ${rounds} rounds. Compare the ratios; the times are those of one machine.

Node ${process.version}, ${cpus()[0]?.model.trim() ?? "unknown processor"}, ${new Date().toISOString().slice(0, 10)}.

${verdict}

## A call

${callTable}

The limits on first part and silence have a full answer streamed and collected: part of what they add is that.

## A part of a stream

${streamTable}

Parts come one a pull, as over a wire. The AI SDK and LangChain do more with each part than hand it on.

## An event of a stream

The bytes of an answer of ${
  events.toLocaleString("en")
} deltas, read by each library's own client from a \`Response\` that has them already,
to what it hands its user: parts here, parsed events there. \`stream()\` and \`doStream\` do more with an event than parse it, as Bulwark does.
The last row of each table is what all of them have in common: reading the web stream and parsing the JSON. Nobody can be faster.

${decodings.map(({ text }) => text).join("\n\n")}

Where each event comes by itself, most of what is added is one pull of an Effect stream for each.

## Over a limit

The same limit, for a hundred calls of one price, kept by \`Budget.enforce\` and by what one writes without it: the sum of what was spent
is checked before a call, and what the call has cost is added after it. With LangChain that is a callback handler (\`handleLLMEnd\`) and
a check before \`invoke\`, with the AI SDK a middleware of \`wrapLanguageModel\`; both as in their guides, nobody has tried to do better.
Where a process is killed the sum is in a SQLite file, for all three. The provider is scripted and bills every request, and nobody is
answered before all that begin at once were sent or refused, so the numbers are the same in every run.

${overspend}

What is booked is what the library knows of, what is held is what may have been spent besides: of the killed process nobody can say what
became of its requests, and they count against the limit until somebody does. Where calls may be longer than they are, fewer of them
are sent at once: the price of never being over. One after another there would have been room for all hundred.

## A budget

${storesTable(stores)}

One account of one limit a pair. Of servers, only what this process does is processor time; the servers are on the same machine. The
plain code is what nobody can do without who keeps as much: the same questions to the same number of JavaScript maps. It takes longer
with more accounts as well, since what is asked for is in no cache of the processor.

${enforced}

The request is counted, priced, reserved, settled and told to whoever listens.

## A cache

Times of the processor. A hit of the AI SDK's middleware is quicker than its own bare call, since it skips the model and what is made of its
answer; its key is the JSON of the parameters, and nothing keeps tenants apart, bounds it, or shares what is under way. Of servers, only what
this process does is counted.

${cache}

## Telemetry

Targets: at most 10 µs a call and 0.2 µs a part. The AI SDK has spans and no metrics, of which a call of Bulwark updates about ten. What is
sent goes to a process on the same machine, in batches; writing the batches is part of what is measured.

${telemetry}

## A prompt

The registry checks the variables, counts what a template may do, and says which version it was; a template string does nothing of that.

${prompts}

## Counting tokens

${tokens}

By the processor's time. Bulwark's exact counts are gpt-tokenizer's, with long runs cut before they are counted: that is what it takes
longer on prose, and why its time is linear in the length of any text. An upper bound is meant to be hardly ever exceeded; it is not the likeliest number.

## The ledger

${ledger}
`

// A share of the work says only that it runs.
if (share === 1) await writeFile(new URL("../../docs/benchmarks.md", import.meta.url), page)
process.stdout.write(page)
