import { fileURLToPath } from "node:url"
import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"

const report = process.env["BULWARK_TEST_REPORT"]

// Workers and the processes that tests begin load the same modules again and again: Node keeps them compiled, by their content.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("node_modules/.cache/node-compile", import.meta.url))

// "module" is a condition of bundlers: what stands under it need not be anything that Node can load, as with OpenTelemetry's packages.
const conditions = ["effect-bulwark/source", ...defaultServerConditions.filter((condition) => condition !== "module")]

const others = ["test/bench/**", "test/types/**"]
const isolated = "test/**/*.isolated.test.ts"

export default defineConfig({
  // Tests import "effect-bulwark" by name and get the sources, built or not.
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "shared",
          include: ["test/**/*.test.ts"],
          exclude: [...others, isolated],
          // To load the modules anew for each file takes longer than most of the files. So no test may change what is everybody's: it
          // puts back what it replaces, and asks for layers of its own.
          isolate: false
        }
      },
      // What cannot do without, because it mocks a module.
      { extends: true, test: { name: "isolated", include: [isolated], exclude: others } }
    ],
    testTimeout: 15_000,
    hookTimeout: 60_000,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
