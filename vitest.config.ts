import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"

const report = process.env["BULWARK_TEST_REPORT"]

export default defineConfig({
  // Tests import "effect-bulwark" by name and get the sources, built or not.
  ssr: { resolve: { conditions: ["effect-bulwark/source", ...defaultServerConditions] } },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/bench/**", "test/types/**"],
    testTimeout: 15_000,
    hookTimeout: 60_000,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
