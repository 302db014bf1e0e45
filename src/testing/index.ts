/**
 * What tests of programs that call language models need: providers that do as they are told.
 *
 * @since 0.1.0
 */
export * as FaultServer from "./FaultServer.ts"
export * as ScriptedProvider from "./ScriptedProvider.ts"
