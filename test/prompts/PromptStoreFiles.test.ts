/**
 * Prompts in files: what is read, what is refused, and that the rest is served.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, PlatformError } from "effect"
import { PromptStore, PromptVersion } from "effect-bulwark/prompts"
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { openFiles, openFolder, pinFiles, served, write } from "./support/files.ts"
import { build, content, draft, folder } from "./support/homes.ts"
import { score } from "./support/storeSuite.ts"

const yaml = (text: string, more = "") => `${more}user_template: ${JSON.stringify(text)}\n`

const good = { "good/v1.yaml": yaml("good"), "good/labels.yaml": "production: 1\n" }

describe("prompts in files", () => {
  it.live("reads YAML, with all fields that a version has", () =>
    Effect.gen(function*() {
      const { store } = yield* openFiles({
        "summarize/v1.yaml": `
version: 1
author: ada
message: It begins
created_at: 2026-03-01T12:00:00Z
metadata: { ticket: 7, tags: [a, b] }
model: gpt-5-mini
temperature: 0.3
top_p: 0.9
max_output_tokens: 500
stop: [END]
seed: 7
reasoning_effort: low
extra: { service_tier: flex }
system: |-
  You are brief.
user_template: |-
  Summarize:
  {{ document }}
examples:
  - user: 2 + 2
    assistant: "4"
includes:
  tone: { name: tone, version: 3 }
`,
        "summarize/v2.yml": "messages:\n  - role: user\n    template: Hi\n  - role: assistant\n    template: Ho\n",
        "summarize/labels.yaml": "production: 1\nstaging: 2\n"
      })
      const { problems, prompts, staleSince } = yield* store.snapshot
      assert.deepStrictEqual([problems, staleSince], [[], undefined])
      const { labels, versions } = prompts.get("summarize")!
      const content: PromptVersion.Content = {
        model: "gpt-5-mini",
        settings: {
          temperature: 0.3,
          topP: 0.9,
          maxOutputTokens: 500,
          stop: ["END"],
          seed: 7,
          reasoningEffort: "low",
          extra: { service_tier: "flex" }
        },
        messages: [
          { role: "system", template: "You are brief." },
          { role: "user", template: "Summarize:\n{{ document }}" }
        ],
        examples: [{ user: "2 + 2", assistant: "4" }],
        includes: { tone: { name: "tone", version: 3 } }
      }
      assert.deepStrictEqual(versions.get(1), {
        name: "summarize",
        version: 1,
        content,
        hash: yield* PromptVersion.hash(content),
        author: "ada",
        message: "It begins",
        metadata: { ticket: 7, tags: ["a", "b"] },
        createdAt: Date.UTC(2026, 2, 1, 12)
      })
      assert.deepStrictEqual(versions.get(2)!.content, {
        messages: [{ role: "user", template: "Hi" }, { role: "assistant", template: "Ho" }]
      })
      assert.deepStrictEqual([...labels], [["production", 1], ["staging", 2]])
      assert.deepStrictEqual(yield* store.version("summarize", 1), versions.get(1))
      assert.deepStrictEqual(yield* store.versions("summarize"), [...versions.values()])
      assert.isUndefined(yield* store.version("summarize", 3))
      assert.deepStrictEqual(yield* store.versions("other"), [])
    }))

  it.live("reads markdown with front matter", () =>
    Effect.gen(function*() {
      const { store } = yield* openFiles({
        "a/v1.md": "---\nversion: 1\nmodel: m\nsystem: Be brief\n---\n\n# Text\n\n---\n\n{{ text }}\n\n",
        "a/v2.md": "---\nbody: system\nuser_template: \"{{ text }}\"\n---\nYou are\nbrief.\n",
        "a/v3.md": "---\n---\nAll there is",
        "a/v4.md": "---\nuser_template: There is nothing below\n---\n"
      })
      const { problems, prompts } = yield* store.snapshot
      assert.deepStrictEqual(problems, [])
      const messages = (version: number) => prompts.get("a")!.versions.get(version)!.content.messages
      assert.deepStrictEqual(messages(1), [
        { role: "system", template: "Be brief" },
        { role: "user", template: "# Text\n\n---\n\n{{ text }}" }
      ])
      assert.deepStrictEqual(messages(2), [
        { role: "system", template: "You are\nbrief." },
        { role: "user", template: "{{ text }}" }
      ])
      assert.deepStrictEqual(messages(3), [{ role: "user", template: "All there is" }])
      assert.deepStrictEqual(messages(4), [{ role: "user", template: "There is nothing below" }])
    }))

  it.live("a text has one hash on all machines", () =>
    Effect.gen(function*() {
      const text = "system: |\n  one\n  two\nuser_template: \"x\"\n"
      const markdown = "---\nsystem: one\n---\nthe\nrest\n"
      const { store } = yield* openFiles({
        "a/v1.yaml": text,
        "b/v1.yaml": text.replaceAll("\n", "\r\n"),
        "c/v1.yaml": `\ufeff${text}`,
        "d/v1.md": markdown,
        "e/v1.md": `\ufeff${markdown.replaceAll("\n", "\r\n")}`
      })
      const { problems, prompts } = yield* store.snapshot
      assert.deepStrictEqual(problems, [])
      const hash = (name: string) => prompts.get(name)!.versions.get(1)!.hash
      assert.strictEqual(hash("b"), hash("a"))
      assert.strictEqual(hash("c"), hash("a"))
      assert.strictEqual(hash("e"), hash("d"))
    }))

  const secret = "very secret text"
  const refusals: ReadonlyArray<readonly [string, { readonly [path: string]: string | Uint8Array }, string]> = [
    ["no YAML", { "a/v1.yaml": `system: "${secret}\n` }, "Syntax a/v1.yaml:2:1"],
    ["text that is not indented", { "a/v1.yaml": `system: |\n${secret}: x\n` }, "Invalid a/v1.yaml:2:1"],
    ["two documents", { "a/v1.yaml": `${yaml(secret)}---\n${yaml(secret)}` }, "Syntax a/v1.yaml:2:1"],
    ["a tag of its own", { "a/v1.yaml": `user_template: !js ${secret}\n` }, "Syntax a/v1.yaml:1:16"],
    ["an alias", { "a/v1.yaml": `system: &a ${secret}\nuser_template: *a\n` }, "Syntax a/v1.yaml:2:16"],
    [
      "a bomb of aliases",
      {
        "a/v1.yaml": [
          "a: &a [x,x,x,x,x,x,x,x,x]",
          ..."bcdefghi".split("").map((name, n) => {
            const before = "abcdefgh"[n]!
            return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(",")}]`
          })
        ].join("\n")
      },
      "Syntax a/v1.yaml:2:8"
    ],
    ["deep nesting", { "a/v1.yaml": "[".repeat(10_000) }, "Syntax a/v1.yaml:1:"],
    ["more parts than a prompt has", { "a/v1.yaml": "[],".repeat(50_000) }, "Syntax a/v1.yaml"],
    ["a list", { "a/v1.yaml": `- ${secret}\n` }, "Invalid a/v1.yaml:1:1"],
    ["nothing", { "a/v1.yaml": "" }, "Invalid a/v1.yaml"],
    ["no message", { "a/v1.yaml": "version: 1\n" }, "Invalid a/v1.yaml:1:1"],
    ["a field that is not known", { "a/v1.yaml": yaml(secret, "temprature: 1\n") }, "Invalid a/v1.yaml:1:1"],
    ["a field that is there twice", { "a/v1.yaml": yaml(secret) + yaml(secret) }, "Invalid a/v1.yaml:2:1"],
    [
      "a field of another type",
      { "a/v1.yaml": `model: m\ntemperature: ${secret}\nsystem: x\n` },
      "Invalid a/v1.yaml:2:1"
    ],
    ["an infinite number", { "a/v1.yaml": yaml(secret, "temperature: .inf\n") }, "Invalid a/v1.yaml:1:1"],
    ["another role", {
      "a/v1.yaml": `messages:\n  - role: tool\n    template: ${secret}\n`
    }, "Invalid a/v1.yaml:2:5"],
    ["a time that is none", { "a/v1.yaml": yaml(secret, "created_at: tomorrow\n") }, "Invalid a/v1.yaml:1:1"],
    ["messages in two ways", {
      "a/v1.yaml": `system: ${secret}\nmessages:\n  - role: user\n    template: x\n`
    }, "Invalid a/v1.yaml:2:1"],
    ["a key of prototypes", { "a/v1.yaml": yaml(secret, "__proto__: { model: m }\n") }, "Invalid a/v1.yaml:1:1"],
    ["a key of prototypes deep inside", {
      "a/v1.yaml": yaml(secret, "extra:\n  - 1\n  - constructor: 1\n")
    }, "Invalid a/v1.yaml:3:5"],
    ["a key that is no text", { "a/v1.yaml": yaml(secret, "? [a]\n: b\n") }, "Invalid a/v1.yaml:1:3"],
    ["no UTF-8", { "a/v1.yaml": new Uint8Array([0x61, 0x3a, 0x20, 0xff]) }, "Encoding a/v1.yaml"],
    ["a control character", { "a/v1.yaml": `model: m\nsystem: a\u0000b` }, "Encoding a/v1.yaml:2:10"],
    ["a carriage return of its own", { "a/v1.yaml": `system: a\rb` }, "Encoding a/v1.yaml:1:10"],
    ["a byte order mark inside", { "a/v1.yaml": `system: a\ufeffb` }, "Encoding a/v1.yaml:1:10"],
    ["a large file", { "a/v1.yaml": yaml("x".repeat(300_000)) }, "TooLarge a/v1.yaml"],
    ["another number than its name says", { "a/v1.yaml": yaml(secret, "version: 2\n") }, "Name a/v1.yaml"],
    ["a number that is none", { "a/v1.yaml": yaml(secret, "version: one\n") }, "Invalid a/v1.yaml:1:1"],
    ["markdown without front matter", { "a/v1.md": secret }, "Syntax a/v1.md:1:1"],
    ["markdown whose front matter has no end", { "a/v1.md": `---\nsystem: ${secret}\n` }, "Syntax a/v1.md:1:1"],
    ["a fault in front matter", { "a/v1.md": `---\nmodel: m\ntop_p: 2\n---\n${secret}` }, "Invalid a/v1.md:3:1"],
    ["a message that is there twice", {
      "a/v1.md": `---\nmodel: m\nuser_template: ${secret}\n---\n${secret}`
    }, "Invalid a/v1.md:3:1"],
    ["markdown that says nothing", { "a/v1.md": "---\nmodel: m\n---\n \n" }, "Invalid a/v1.md:2:1"],
    ["a version that is in no folder", { "summarize.yaml": yaml(secret) }, "Name summarize.yaml"],
    ["a folder with no name of a prompt", { "A b/v1.yaml": yaml(secret) }, "Name A b"],
    ["folders in folders", { "a/b/v1.yaml": yaml(secret) }, "Name a/b"],
    ["a file that is no version", { "a/final.yaml": yaml(secret) }, "Name a/final.yaml"],
    ["version 0", { "a/v0.yaml": yaml(secret) }, "Name a/v0.yaml"],
    ["a version with a zero before it", { "a/v01.yaml": yaml(secret) }, "Name a/v01.yaml"],
    ["labels that are no numbers", { "a/labels.yaml": `production: ${secret}\n` }, "Invalid a/labels.yaml:1:1"],
    ["a label with another name", { "a/labels.yaml": `Very secret text: 1\n` }, "Invalid a/labels.yaml:1:1"],
    ["a label that points to nowhere", { "a/labels.yaml": "production: 3\n" }, "Missing a/labels.yaml"],
    ["a lock that is none", { "prompts.lock.yaml": `good: ${secret}\n` }, "Invalid prompts.lock.yaml:1:1"],
    ["a version that was published and is gone", {
      "prompts.lock.yaml": `gone:\n  1: "${"0".repeat(64)}"\n`
    }, "Missing prompts.lock.yaml"],
    ["another hash than that which was published", {
      "a/v1.yaml": yaml(secret),
      "prompts.lock.yaml": `a:\n  1: "${"0".repeat(64)}"\n`
    }, "Hash a/v1.yaml"]
  ]

  it.live.each(refusals)(
    "refuses %s, says where, does not quote it, and serves the rest",
    ([, contents, expected]) =>
      Effect.gen(function*() {
        const { store } = yield* openFiles({ ...good, ...contents })
        const { labels, problems, versions } = yield* served(store)
        assert.deepStrictEqual([versions, labels], [{ "good@1": "good" }, { "good/production": 1 }])
        assert.strictEqual(problems.length, 1, problems.join())
        assert.isTrue(problems[0]!.startsWith(expected), `${problems[0]} is not ${expected}`)
        const all = JSON.stringify((yield* store.snapshot).problems)
        assert.notInclude(all.toLowerCase(), "secret")
        for (const { message, remedy } of (yield* store.snapshot).problems) {
          assert.isAbove(message.length, 10)
          assert.isAbove(remedy.length, 10)
        }
      })
  )

  it.live("lists all that is wrong with a file", () =>
    Effect.gen(function*() {
      const { store } = yield* openFiles({
        ...good,
        "a/v1.yaml": "temperature: -1\ntop_p: 2\nmax_output_tokens: 0.5\nsystem: x\n"
      })
      const { problems } = yield* store.snapshot
      assert.deepStrictEqual(problems.map(({ column, line }) => [line, column]), [[1, 1], [2, 1], [3, 1]])
      assert.include(problems[0]!.message, "temperature")
    }))

  it.live("numbers follow one another, and each has one file", () =>
    Effect.gen(function*() {
      const { store } = yield* openFiles({
        ...good,
        "gap/v1.yaml": yaml("1"),
        "gap/v3.yaml": yaml("3"),
        "gap/v4.yaml": yaml("4"),
        "late/v2.yaml": yaml("2"),
        "twice/v1.yaml": yaml("1"),
        "twice/v1.md": "---\n---\nother",
        "broken/v1.yaml": "{",
        "broken/v2.yaml": yaml("2"),
        "many/v10.yaml": yaml("10"),
        ...Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`many/v${n + 1}.yaml`, yaml(`${n + 1}`)]))
      })
      const { problems, versions } = yield* served(store)
      assert.deepStrictEqual(versions, {
        "good@1": "good",
        "gap@1": "1",
        // A file that cannot be read is there all the same.
        "broken@2": "2",
        ...Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`many@${n + 1}`, `${n + 1}`]))
      })
      assert.sameMembers(problems, [
        "Syntax broken/v1.yaml:1:2",
        "Missing gap/v3.yaml",
        "Missing gap/v4.yaml",
        "Missing late/v2.yaml",
        "Duplicate twice/v1.yaml"
      ])
    }))

  it.live("reads nothing outside the folder, and follows links within", () =>
    Effect.gen(function*() {
      const elsewhere = yield* folder
      yield* write(elsewhere, { "v1.yaml": yaml("outside"), "a/v1.yaml": yaml("outside") })
      // As a volume of Kubernetes is made.
      const { directory, store } = yield* openFiles({
        ...good,
        "..2026/mounted/v1.yaml": yaml("mounted"),
        "..2026/mounted/labels.yaml": "production: 1\n",
        "file/v2.yaml": yaml("2"),
        "loop/v2.yaml": yaml("2")
      })
      symlinkSync("..2026", join(directory, "..data"))
      symlinkSync("..data/mounted", join(directory, "mounted"))
      symlinkSync(join(elsewhere, "v1.yaml"), join(directory, "file/v1.yaml"))
      symlinkSync(join(elsewhere, "a"), join(directory, "folder"))
      symlinkSync("../../../../../../../../etc/passwd", join(directory, "file/labels.yaml"))
      symlinkSync("v1.yaml", join(directory, "loop/v1.yaml"))
      symlinkSync("nowhere.yaml", join(directory, "loop/labels.yaml"))
      const { problems, versions } = yield* served(store)
      assert.deepStrictEqual(versions, { "good@1": "good", "mounted@1": "mounted" })
      assert.sameMembers(problems, [
        "Outside folder",
        "Outside file/v1.yaml",
        "Outside file/labels.yaml",
        "Missing file/v2.yaml",
        "Unreadable loop/v1.yaml",
        "Unreadable loop/labels.yaml",
        "Missing loop/v2.yaml"
      ])
    }))

  it.live("reads only files, and never waits for a pipe", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({ ...good, "a/v1.yaml/x": "x", "b/v2.yaml": yaml("2") })
      execFileSync("mkfifo", [join(directory, "b/v1.yaml")])
      const { problems, versions } = yield* served(store)
      assert.deepStrictEqual(versions, { "good@1": "good" })
      assert.sameMembers(problems, ["Name a/v1.yaml", "Unreadable b/v1.yaml", "Missing b/v2.yaml"])
    }))

  it.live("says what may not be read", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      yield* write(directory, { ...good, "a/v1.yaml": yaml("1"), "b/v1.yaml": yaml("1") })
      const denied = (method: string) =>
        Effect.fail(PlatformError.systemError({ _tag: "PermissionDenied", module: "FileSystem", method }))
      // Whoever runs the tests may be allowed everything.
      const strict = Layer.effect(
        FileSystem.FileSystem,
        Effect.map(FileSystem.FileSystem, (fs) => ({
          ...fs,
          open: (path: string, options?: Parameters<typeof fs.open>[1]) =>
            path.endsWith("a/v1.yaml") ? denied("open") : fs.open(path, options),
          readDirectoryEntries: (path: string) =>
            path.endsWith("/b") ? denied("readDirectoryEntries") : fs.readDirectoryEntries(path)
        }))
      )
      const store = yield* build(
        PromptStore.layerFiles({ directory }).pipe(
          Layer.provide(strict),
          Layer.provide(NodeServices.layer)
        )
      )
      const { problems, versions } = yield* served(store)
      assert.deepStrictEqual(versions, { "good@1": "good" })
      assert.sameMembers(problems, ["Unreadable a/v1.yaml", "Unreadable b"])
    }))

  it.live("leaves alone what is none of its files", () =>
    Effect.gen(function*() {
      const { store } = yield* openFiles({
        ...good,
        "README.md": "# Prompts",
        "good/README.md": "# Good",
        "good/notes.txt": "x",
        "good/.v2.yaml.swp": "x",
        "good/v2.yaml~": "x",
        ".git/v1.yaml": "x",
        "package.json": "{}"
      })
      assert.deepStrictEqual((yield* served(store)).problems, [])
    }))

  it.live("reads so many files and no more, always the same ones", () =>
    Effect.gen(function*() {
      const { store } = yield* openFiles({
        "a/v1.yaml": yaml("1"),
        "b/labels.yaml": "production: 1\n",
        "b/v1.yaml": yaml("1"),
        "c/v1.yaml": yaml("1")
      }, { maxFiles: 3 })
      const { labels, problems, versions } = yield* served(store)
      assert.deepStrictEqual([Object.keys(versions), labels], [["a@1", "b@1"], { "b/production": 1 }])
      assert.deepStrictEqual(problems, ["TooMany ."])
    }))

  it.live("a folder that is not there is not an empty one", () =>
    Effect.gen(function*() {
      const directory = join(yield* folder, "prompts")
      const store = yield* openFolder(directory)
      const error = yield* Effect.flip(store.snapshot)
      assert.strictEqual(error.operation, "snapshot")
      yield* write(directory, good)
      assert.deepStrictEqual((yield* served(store)).versions, { "good@1": "good" })
      yield* write(directory, { "": undefined })
      assert.strictEqual((yield* Effect.flip(store.snapshot))._tag, "PromptStoreError")
    }))

  it.live("is only read", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles(good)
      const before = readdirSync(directory, { recursive: true })
      const version = (yield* store.version("good", 1))!
      const refused = [
        store.publish(draft("good", "two")),
        store.adopt(version),
        store.label({ name: "good", label: "staging", version: 1 }),
        store.saveExperiment({ name: "good", id: "x", document: {}, from: 0 }),
        store.score([score("1")]),
        store.pruneScores(1)
      ]
      for (const step of refused) {
        const error = yield* Effect.flip(step as Effect.Effect<unknown, PromptStore.PromptRefused>)
        assert.strictEqual(error._tag, "PromptRefused")
        assert.strictEqual(error.reason, "ReadOnly")
        assert.include(error.message, "layerOver")
      }
      assert.deepStrictEqual(yield* store.history("good"), [])
      assert.deepStrictEqual(yield* store.experiments(), [])
      assert.deepStrictEqual(yield* store.experimentHistory("good", "x"), [])
      assert.deepStrictEqual(yield* store.scores({ name: "good" }), [])
      assert.deepStrictEqual(yield* store.scoreTotals({ name: "good" }), [])
      assert.deepStrictEqual(readdirSync(directory, { recursive: true }), before)
    }))
})

describe("prompts in files that change", () => {
  it.live("serves what was last good, version by version", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({
        ...good,
        "a/v1.yaml": yaml("1"),
        "a/v2.yaml": yaml("2"),
        "a/labels.yaml": "production: 2\nstaging: 1\n"
      })
      const first = yield* store.snapshot
      assert.strictEqual(yield* store.snapshot, first)
      yield* write(directory, {
        "a/v2.yaml": "system: [",
        "a/v3.yaml": "system: [",
        "a/labels.yaml": "production: 9\nstaging: 2\n",
        "good/v1.yaml": yaml("better"),
        "good/labels.yaml": "production: one\n"
      })
      const second = yield* served(store)
      assert.deepStrictEqual(second.versions, { "a@1": "1", "a@2": "2", "good@1": "better" })
      assert.deepStrictEqual(second.labels, { "a/production": 2, "a/staging": 2, "good/production": 1 })
      assert.sameMembers(second.problems, [
        "Syntax a/v2.yaml:1:10 (last good)",
        "Syntax a/v3.yaml:1:10",
        "Missing a/labels.yaml (last good)",
        "Invalid good/labels.yaml:1:1 (last good)"
      ])
      const { revision } = yield* store.snapshot
      assert.notStrictEqual(revision, first.revision)
      assert.strictEqual((yield* store.snapshot).revision, revision)
      // What was good is good again, or something else is.
      yield* write(directory, {
        "a/v2.yaml": yaml("two"),
        "a/v3.yaml": yaml("3"),
        "a/labels.yaml": "production: 3\n",
        "good/labels.yaml": undefined
      })
      assert.deepStrictEqual(yield* served(store), {
        versions: { "a@1": "1", "a@2": "two", "a@3": "3", "good@1": "better" },
        labels: { "a/production": 3 },
        problems: []
      })
    }))

  it.live("a version whose file is gone is served while a label points to it", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({
        "a/v1.yaml": yaml("1"),
        "a/v2.yaml": yaml("2"),
        "a/labels.yaml": "production: 2\n"
      })
      yield* store.snapshot
      yield* write(directory, { "a/v2.yaml": undefined })
      for (let n = 0; n < 2; n++) {
        assert.deepStrictEqual(yield* served(store), {
          versions: { "a@1": "1", "a@2": "2" },
          labels: { "a/production": 2 },
          problems: ["Missing a/labels.yaml (last good)"]
        })
      }
      yield* write(directory, { "a/labels.yaml": "production: 1\n" })
      assert.deepStrictEqual(yield* served(store), {
        versions: { "a@1": "1" },
        labels: { "a/production": 1 },
        problems: []
      })
      // Nobody who begins now knows of it.
      yield* write(directory, { "a": undefined })
      assert.deepStrictEqual((yield* served(yield* openFolder(directory))).versions, {})
    }))

  it.live("to be touched is not to be changed", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles(good)
      const before = yield* store.snapshot
      utimesSync(join(directory, "good/v1.yaml"), 1, 1)
      assert.strictEqual(yield* store.snapshot, before)
      // The same text, written in another way.
      yield* write(directory, { "good/v1.yaml": "# Good\nuser_template: good\n" })
      assert.strictEqual((yield* store.snapshot).revision, before.revision)
    }))
})

describe("versions that are pinned", () => {
  it.live("stay what they were published as", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({
        ...good,
        "a/v1.yaml": yaml("1"),
        "a/v2.yaml": yaml("2"),
        "1/v1.yaml": yaml("one")
      })
      const pinned = yield* pinFiles(directory)
      assert.deepStrictEqual(pinned.map(({ name, version }) => `${name}@${version}`), ["1@1", "a@1", "a@2", "good@1"])
      assert.strictEqual(pinned[0]!.hash, yield* PromptVersion.hash(content("one")))
      const lock = readFileSync(join(directory, "prompts.lock.yaml"), "utf8")
      assert.deepStrictEqual(yield* pinFiles(directory), [])
      assert.deepStrictEqual(yield* served(yield* openFolder(directory, { pins: "required" })), {
        versions: { "1@1": "one", "a@1": "1", "a@2": "2", "good@1": "good" },
        labels: { "good/production": 1 },
        problems: []
      })
      yield* store.snapshot
      yield* write(directory, { "a/v2.yaml": yaml("edited"), "a/v3.yaml": yaml("3") })
      // Who has read it before, and who has not.
      assert.deepStrictEqual(yield* served(store), {
        versions: { "1@1": "one", "a@1": "1", "a@2": "2", "a@3": "3", "good@1": "good" },
        labels: { "good/production": 1 },
        problems: ["Hash a/v2.yaml (last good)"]
      })
      const strict = yield* served(yield* openFolder(directory, { pins: "required" }))
      assert.deepStrictEqual(Object.keys(strict.versions), ["1@1", "a@1", "good@1"])
      assert.deepStrictEqual(strict.problems, ["Hash a/v2.yaml", "Unpinned a/v3.yaml"])
      const error = yield* Effect.flip(pinFiles(directory))
      assert(error._tag === "PromptRefused")
      assert.strictEqual(error.reason, "Hash")
      assert.notInclude(error.message, "edited")
      assert.strictEqual(readFileSync(join(directory, "prompts.lock.yaml"), "utf8"), lock)
      // Another author is not another content.
      yield* write(directory, { "a/v2.yaml": yaml("2", "author: bob\n") })
      assert.deepStrictEqual((yield* pinFiles(directory)).map(({ version }) => version), [3])
      assert.deepStrictEqual((yield* served(store)).problems, [])
      assert.deepStrictEqual(readdirSync(directory).filter((name) => name.startsWith(".")), [])
    }))

  it.live("stay so while the lock cannot be read", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles(good)
      yield* pinFiles(directory)
      yield* store.snapshot
      writeFileSync(join(directory, "prompts.lock.yaml"), "good: [")
      yield* write(directory, { "good/v1.yaml": yaml("edited") })
      const { problems, versions } = yield* served(store)
      assert.deepStrictEqual(versions, { "good@1": "good" })
      assert.sameMembers(problems, ["Syntax prompts.lock.yaml:1:8 (last good)", "Hash good/v1.yaml (last good)"])
      // Who never saw the lock serves what it is sure of: everything, or, where pins are required, nothing.
      assert.deepStrictEqual((yield* served(yield* openFolder(directory))).versions, { "good@1": "edited" })
      assert.deepStrictEqual((yield* served(yield* openFolder(directory, { pins: "required" }))).versions, {})
    }))
})

describe("options of prompts in files", () => {
  it("are refused where they are not legal, by name", () => {
    for (
      const [option, value] of [
        ["directory", ""],
        ["debounce", 0],
        ["pollEvery", 0],
        ["pins", "some"],
        ["maxFileSize", 0],
        ["maxFiles", 1.5]
      ] as const
    ) {
      assert.throws(
        () => PromptStore.layerFiles({ directory: "prompts", [option]: value } as PromptStore.FilesOptions),
        RangeError,
        option
      )
    }
  })
})
