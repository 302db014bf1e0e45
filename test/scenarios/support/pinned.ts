/**
 * What becomes of each pair of policies on the three days of `matrix.ts`: `requests to the first + to the second provider | outcomes
 * that circuits were told: success/failure/ignored | how each call ended`. Read `inner > outer`.
 */
import type { PolicyName } from "./policies.ts"

/** Overloaded for ever (four full answers, ten seconds apart); silent for ever (a full answer); cut in mid-answer (a stream). */
export type Row = readonly [overloaded: string, silent: string, cut: string]

export const pinned: { readonly [Pair in `${PolicyName} > ${PolicyName}`]: Row } = {
  // ---- retry, inside ... ----
  "retry > retry": ["36+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > timeout": ["12+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "retry > total": ["12+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "retry > orElse": ["12+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > orElseOn": ["12+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > firstOf": ["12+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > cascade": ["12+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "3+1 | - | Bonjour"],
  "retry > orElseSucceed": [
    "12+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "retry > whole": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > breaker": [
    "9+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "retry > limiter": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > hedge": ["12+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > retryBudget": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retry > restart": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "retry > continue": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- timeout, inside ... ----
  "timeout > retry": ["12+0 | - | 4 × Overloaded", "3+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > timeout": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > total": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > orElse": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+0 | - | 330 StreamInterrupted"],
  "timeout > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > firstOf": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+0 | - | 330 StreamInterrupted"],
  "timeout > cascade": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+1 | - | Bonjour"],
  "timeout > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | no answer: TimedOut",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "timeout > whole": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/1/0 | TimedOut",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "timeout > limiter": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > hedge": ["4+0 | - | 4 × Overloaded", "2+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > retryBudget": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "timeout > restart": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330<retract>Bonjour"],
  "timeout > continue": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330Bonjour"],

  // ---- total, inside ... ----
  "total > retry": ["12+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > timeout": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > total": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > orElse": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+0 | - | 330 StreamInterrupted"],
  "total > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > firstOf": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+0 | - | 330 StreamInterrupted"],
  "total > cascade": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+1 | - | Bonjour"],
  "total > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | no answer: TimedOut",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "total > whole": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/1/0 | TimedOut",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "total > limiter": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > hedge": ["4+0 | - | 4 × Overloaded", "2+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > retryBudget": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "total > restart": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330<retract>Bonjour"],
  "total > continue": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330Bonjour"],

  // ---- orElse, inside ... ----
  "orElse > retry": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > timeout": ["4+4 | - | 4 × Bonjour", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "orElse > total": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+0 | - | 330 StreamInterrupted"],
  "orElse > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "orElse > orElseSucceed": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > whole": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > breaker": [
    "4+4 | 4/0/0 | 4 × Bonjour",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "orElse > limiter": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > hedge": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > retryBudget": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElse > restart": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "orElse > continue": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- orElseOn, inside ... ----
  "orElseOn > retry": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > timeout": ["4+4 | - | 4 × Bonjour", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > total": ["4+4 | - | 4 × Bonjour", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "orElseOn > orElseSucceed": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > whole": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > breaker": [
    "4+4 | 4/0/0 | 4 × Bonjour",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "orElseOn > limiter": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > hedge": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > retryBudget": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "orElseOn > restart": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "orElseOn > continue": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- firstOf, inside ... ----
  "firstOf > retry": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > timeout": ["4+4 | - | 4 × Bonjour", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > total": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "firstOf > orElseSucceed": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > whole": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > breaker": [
    "4+4 | 4/0/0 | 4 × Bonjour",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "firstOf > limiter": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > hedge": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > retryBudget": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "firstOf > restart": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "firstOf > continue": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- cascade, inside ... ----
  "cascade > retry": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > timeout": ["4+4 | - | 4 × Bonjour", "1+0 | - | TimedOut", "1+1 | - | Bonjour"],
  "cascade > total": ["4+4 | - | 4 × Bonjour", "1+1 | - | Bonjour", "1+1 | - | Bonjour"],
  "cascade > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > orElseSucceed": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > whole": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > breaker": ["4+4 | 4/0/0 | 4 × Bonjour", "1+0 | 0/0/1 | still waiting", "1+1 | 1/0/0 | Bonjour"],
  "cascade > limiter": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > hedge": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > retryBudget": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > restart": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "cascade > continue": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],

  // ---- orElseSucceed, inside ... ----
  "orElseSucceed > retry": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > timeout": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | TimedOut",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > total": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | TimedOut",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > orElse": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > orElseOn": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > firstOf": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > cascade": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | no answer: StreamInterrupted"
  ],
  "orElseSucceed > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > whole": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > breaker": [
    "4+0 | 4/0/0 | 4 × no answer: Overloaded",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "orElseSucceed > limiter": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > hedge": [
    "4+0 | - | 4 × no answer: Overloaded",
    "2+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > retryBudget": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "orElseSucceed > restart": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+1 | - | 330<retract>Bonjour"
  ],
  "orElseSucceed > continue": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+1 | - | 330Bonjour"
  ],

  // ---- whole, inside ... ----
  "whole > retry": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > timeout": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "whole > total": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "whole > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "whole > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "whole > whole": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "whole > limiter": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > hedge": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > retryBudget": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "whole > restart": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "whole > continue": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- breaker, inside ... ----
  "breaker > retry": [
    "4+0 | 0/4/0 | Overloaded, CircuitOpen, CircuitOpen, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > timeout": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | TimedOut",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > total": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | TimedOut",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > orElse": [
    "3+4 | 0/3/0 | 4 × Bonjour",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > orElseOn": [
    "3+4 | 0/3/0 | 4 × Bonjour",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > firstOf": [
    "3+4 | 0/3/0 | 4 × Bonjour",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > cascade": ["3+4 | 0/3/0 | 4 × Bonjour", "1+0 | 0/0/1 | still waiting", "1+1 | 0/1/0 | Bonjour"],
  "breaker > orElseSucceed": [
    "3+0 | 0/3/0 | no answer: Overloaded, no answer: Overloaded, no answer: Overloaded, no answer: CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > whole": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > breaker": [
    "2+0 | 0/4/1 | Overloaded, Overloaded, CircuitOpen, CircuitOpen",
    "1+0 | 0/0/2 | still waiting",
    "1+0 | 0/2/0 | 330 StreamInterrupted"
  ],
  "breaker > limiter": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > hedge": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "2+0 | 0/0/2 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > retryBudget": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "breaker > restart": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+1 | 0/1/0 | 330<retract>Bonjour"
  ],
  "breaker > continue": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+1 | 0/1/0 | 330Bonjour"
  ],

  // ---- limiter, inside ... ----
  "limiter > retry": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > timeout": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "limiter > total": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "limiter > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "limiter > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "limiter > whole": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "limiter > limiter": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > hedge": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > retryBudget": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "limiter > restart": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "limiter > continue": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- hedge, inside ... ----
  "hedge > retry": ["12+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > timeout": ["4+0 | - | 4 × Overloaded", "2+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "hedge > total": ["4+0 | - | 4 × Overloaded", "2+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "hedge > orElse": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > orElseOn": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > firstOf": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > cascade": ["4+4 | - | 4 × Bonjour", "2+0 | - | still waiting", "1+1 | - | Bonjour"],
  "hedge > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "2+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "hedge > whole": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "2+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "hedge > limiter": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > hedge": ["4+0 | - | 4 × Overloaded", "4+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > retryBudget": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "hedge > restart": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "hedge > continue": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- retryBudget, inside ... ----
  "retryBudget > retry": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > timeout": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > total": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "retryBudget > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "retryBudget > whole": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+0 | 0/1/0 | 330 StreamInterrupted"
  ],
  "retryBudget > limiter": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > hedge": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+0 | - | 330 StreamInterrupted"],
  "retryBudget > retryBudget": [
    "4+0 | - | 4 × Overloaded",
    "1+0 | - | still waiting",
    "1+0 | - | 330 StreamInterrupted"
  ],
  "retryBudget > restart": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "retryBudget > continue": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],

  // ---- restart, inside ... ----
  "restart > retry": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > timeout": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330<retract>Bonjour"],
  "restart > total": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330<retract>Bonjour"],
  "restart > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "restart > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+1 | - | 330<retract>Bonjour"
  ],
  "restart > whole": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+1 | 1/0/0 | 330<retract>Bonjour"
  ],
  "restart > limiter": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > hedge": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > retryBudget": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > restart": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],
  "restart > continue": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330<retract>Bonjour"],

  // ---- continue, inside ... ----
  "continue > retry": ["12+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > timeout": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330Bonjour"],
  "continue > total": ["4+0 | - | 4 × Overloaded", "1+0 | - | TimedOut", "1+1 | - | 330Bonjour"],
  "continue > orElse": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > orElseOn": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > firstOf": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > cascade": ["4+4 | - | 4 × Bonjour", "1+0 | - | still waiting", "1+1 | - | Bonjour"],
  "continue > orElseSucceed": [
    "4+0 | - | 4 × no answer: Overloaded",
    "1+0 | - | still waiting",
    "1+1 | - | 330Bonjour"
  ],
  "continue > whole": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > breaker": [
    "3+0 | 0/3/0 | Overloaded, Overloaded, Overloaded, CircuitOpen",
    "1+0 | 0/0/1 | still waiting",
    "1+1 | 1/0/0 | 330Bonjour"
  ],
  "continue > limiter": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > hedge": ["4+0 | - | 4 × Overloaded", "2+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > retryBudget": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > restart": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"],
  "continue > continue": ["4+0 | - | 4 × Overloaded", "1+0 | - | still waiting", "1+1 | - | 330Bonjour"]
}
