/**
 * How the benchmarks measure, and how they write down what they have measured.
 */
import { Bench } from "tinybench"

export const rounds = 7

/** How much of the work is done: for a look at whether it runs, a small part is enough (`BULWARK_BENCH_SHARE=0.01`). */
export const share = Number(process.env["BULWARK_BENCH_SHARE"] ?? 1)

/** So many times, or a share of it. */
export const times = (count: number): number => Math.max(1, Math.round(count * share))

/**
 * Microseconds per run, by task. Tasks take turns for several rounds; of each round counts the median, of the rounds the
 * best: whatever else the machine does can only add.
 */
export const measure = async (
  tasks: Record<string, () => unknown>,
  time: number,
  // How often each task runs at least in a round; those that take long need not run as often as those that do not.
  iterations = 64
): Promise<Record<string, number>> => {
  const best: Record<string, number> = {}
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({
      time: time * share,
      warmupTime: time * share / 2,
      iterations: times(iterations),
      warmupIterations: times(iterations / 4)
    })
    for (const [name, run] of Object.entries(tasks)) bench.add(name, run)
    await bench.run()
    for (const task of bench.tasks) {
      const result = task.result
      if (result.state !== "completed") throw new Error(`${task.name}: ${result.state}`)
      best[task.name] = Math.min(best[task.name] ?? Infinity, result.latency.p50 * 1000)
    }
  }
  return best
}

/** Microseconds that the processor has worked for this process, all of its threads together. */
export const processorMicros = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

export const micros = (value: number): string => value.toFixed(2)

export const ratio = (value: number): string => `${value.toFixed(2)} ×`

export const whole = (value: number): string => Math.round(value).toLocaleString("en")

export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [`| ${head.join(" | ")} |`, `|${head.map(() => "---").join("|")}|`, ...rows.map((row) => `| ${row.join(" | ")} |`)]
    .join("\n")
