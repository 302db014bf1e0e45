/**
 * Budgets in Postgres: a step is one call of a function, which is one round trip and one transaction. No client holds a lock while it
 * talks, or after it has died.
 *
 * Whoever changes an account has its lock, which is an advisory one: the sum of a rolling window is of many rows, of which some are not
 * there yet. The lock of the id comes first, those of accounts follow in order, so that nobody waits in a circle. What is read after
 * the locks is what others have committed before: each statement of a function sees that, under READ COMMITTED.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Balance, Outcome, State, Verdict } from "./store.ts"
import { maxAmount, mismatch } from "./storeHome.ts"
import { type Database, holdsJson, linesJson, pendingForget, slotForget, type Steps } from "./storeTables.ts"

export const least = "least"

export const holds = "json_array_elements(r.holds::json) AS h (value)"

export const skipLocked = "FOR UPDATE SKIP LOCKED"

// NULL is never.
const forgetLater = `forget_at = CASE
  WHEN s.forget_at IS NULL OR excluded.forget_at IS NULL THEN NULL
  ELSE greatest(s.forget_at, excluded.forget_at) END`

export const create = ({ prefix: p, sql }: Database): Effect.Effect<void, SqlError> =>
  Effect.forEach(
    [
      `CREATE TABLE ${p}slots (
        account text COLLATE "C" NOT NULL,
        slot bigint NOT NULL,
        used bigint NOT NULL,
        reserved bigint NOT NULL,
        forget_at bigint,
        PRIMARY KEY (account, slot)
      ) WITH (fillfactor = 80)`,
      `CREATE TABLE ${p}reservations (
        id text COLLATE "C" PRIMARY KEY,
        state text NOT NULL,
        due bigint NOT NULL,
        forget_at bigint,
        holds text NOT NULL
      )`,
      `CREATE INDEX ${p}slots_forget ON ${p}slots (forget_at) WHERE forget_at IS NOT NULL`,
      `CREATE INDEX ${p}reservations_due ON ${p}reservations (state, due)`,

      `CREATE FUNCTION ${p}lock_id(an_id text) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
          RAISE EXCEPTION 'budgets need the isolation level READ COMMITTED';
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended('${p}reservations/' || an_id, 0));
      END $$`,

      `CREATE FUNCTION ${p}lock_accounts(items jsonb) RETURNS void LANGUAGE plpgsql AS $$
      DECLARE lock bigint;
      BEGIN
        FOR lock IN
          SELECT DISTINCT hashtextextended('${p}slots/' || (item ->> 'account'), 0) FROM jsonb_array_elements(items) item ORDER BY 1
        LOOP
          PERFORM pg_advisory_xact_lock(lock);
        END LOOP;
      END $$`,

      `CREATE FUNCTION ${p}reserve(
        an_id text, lines_json text, holds_json text, leased bigint, forget bigint
      ) RETURNS TABLE (verdict text, line integer, used bigint, reserved bigint) LANGUAGE plpgsql AS $$
      #variable_conflict use_column
      DECLARE
        lines jsonb := lines_json;
        known text;
      BEGIN
        PERFORM ${p}lock_id(an_id);
        SELECT r.state INTO known FROM ${p}reservations r WHERE r.id = an_id;
        IF known IS NOT NULL THEN
          RETURN QUERY SELECT known, 0, 0::bigint, 0::bigint;
          RETURN;
        END IF;
        PERFORM ${p}lock_accounts(lines);
        RETURN QUERY
        WITH asked AS (
          SELECT
            (item.n - 1)::integer AS line,
            item.j ->> 'account' AS account,
            (item.j ->> 'slot')::bigint AS slot,
            (item.j ->> 'since')::bigint AS since,
            (item.j ->> 'amount')::bigint AS amount,
            (item.j ->> 'limit')::bigint AS most,
            (item.j ->> 'forgetAt')::bigint AS forget_at
          FROM jsonb_array_elements(lines) WITH ORDINALITY AS item (j, n)
        ), counted AS MATERIALIZED (
          SELECT
            asked.*,
            least(coalesce(sums.used, 0), ${maxAmount})::bigint AS used,
            least(coalesce(sums.reserved, 0), ${maxAmount})::bigint AS reserved
          FROM asked CROSS JOIN LATERAL (
            SELECT sum(s.used) AS used, sum(s.reserved) AS reserved
            FROM ${p}slots s WHERE s.account = asked.account AND s.slot >= asked.since
          ) sums
        ), refusal AS MATERIALIZED (
          SELECT min(line) AS line FROM counted WHERE counted.used + counted.reserved + counted.amount > counted.most
        ), made AS (
          INSERT INTO ${p}reservations (id, state, due, forget_at, holds)
          SELECT an_id, 'pending', leased, forget, holds_json FROM refusal WHERE refusal.line IS NULL
        ), held AS (
          INSERT INTO ${p}slots AS s (account, slot, used, reserved, forget_at)
          SELECT counted.account, counted.slot, 0, counted.amount, counted.forget_at
          FROM counted, refusal WHERE refusal.line IS NULL
          ON CONFLICT (account, slot) DO UPDATE SET reserved = s.reserved + excluded.reserved, ${forgetLater}
        )
        SELECT
          CASE WHEN refusal.line IS NULL THEN 'reserved' ELSE 'exceeded' END,
          counted.line,
          counted.used,
          counted.reserved + CASE WHEN refusal.line IS NULL THEN counted.amount ELSE 0 END
        FROM counted, refusal WHERE refusal.line IS NULL OR refusal.line = counted.line
        ORDER BY counted.line;
      END $$`,

      `CREATE FUNCTION ${p}finish(an_id text, final text, amounts_json text, forget bigint)
      RETURNS text LANGUAGE plpgsql AS $$
      DECLARE
        amounts jsonb := amounts_json;
        held jsonb;
        known text;
      BEGIN
        PERFORM ${p}lock_id(an_id);
        SELECT r.state, r.holds INTO known, held FROM ${p}reservations r WHERE r.id = an_id;
        IF known IS NULL THEN
          IF final = 'voided' THEN
            INSERT INTO ${p}reservations (id, state, due, forget_at, holds) VALUES (an_id, final, forget, NULL, '[]');
          END IF;
          RETURN 'unknown';
        ELSIF known <> 'pending' THEN
          RETURN CASE known WHEN final THEN 'repeated' ELSE 'refused' END;
        ELSIF jsonb_array_length(amounts) <> jsonb_array_length(held) THEN
          RETURN 'mismatch';
        END IF;
        PERFORM ${p}lock_accounts(held);
        UPDATE ${p}slots s SET
          used = least(s.used + coalesce((amounts ->> (item.n - 1)::integer)::bigint, 0), ${maxAmount}),
          reserved = greatest(s.reserved - (item.j ->> 'amount')::bigint, 0)
        FROM jsonb_array_elements(held) WITH ORDINALITY AS item (j, n)
        WHERE s.account = item.j ->> 'account' AND s.slot = (item.j ->> 'slot')::bigint;
        UPDATE ${p}reservations SET state = final, due = forget WHERE id = an_id;
        RETURN 'applied';
      END $$`,

      `CREATE FUNCTION ${p}adjust(
        an_id text, an_account text, a_slot bigint, change bigint, forget_slot bigint, forget bigint
      ) RETURNS text LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM ${p}lock_id(an_id);
        IF EXISTS (SELECT FROM ${p}reservations r WHERE r.id = an_id) THEN
          RETURN 'repeated';
        END IF;
        PERFORM ${p}lock_accounts(jsonb_build_array(jsonb_build_object('account', an_account)));
        INSERT INTO ${p}reservations (id, state, due, forget_at, holds) VALUES (an_id, 'settled', forget, NULL, '[]');
        INSERT INTO ${p}slots AS s (account, slot, used, reserved, forget_at)
        VALUES (an_account, a_slot, greatest(change, 0), 0, forget_slot)
        ON CONFLICT (account, slot) DO UPDATE SET
          used = greatest(least(s.used + change, ${maxAmount}), 0), ${forgetLater};
        RETURN 'applied';
      END $$`
    ],
    (statement) => sql.unsafe(statement),
    { discard: true }
  )

export const makeSteps = ({ prefix, remember, sql }: Database): Steps => {
  const [reserve, finish, adjust] = ["reserve", "finish", "adjust"].map((name) => sql(`${prefix}${name}`))
  return {
    reserve: (reservation) =>
      Clock.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        return Effect.map(
          sql<{ readonly verdict: State | "reserved" | "exceeded"; readonly line: number } & Answer<Balance>>`
            SELECT * FROM ${reserve!}(
              ${reservation.id},
              ${linesJson(reservation, now, remember)},
              ${holdsJson(reservation)},
              ${reservation.leasedUntil},
              ${pendingForget(reservation, now, remember)}
            )`,
          (rows): Verdict => {
            const { line, verdict } = rows[0]!
            const balances = rows.map((row) => ({ used: Number(row.used), reserved: Number(row.reserved) }))
            if (verdict === "reserved") return { _tag: "Reserved", balances }
            if (verdict === "exceeded") return { _tag: "Exceeded", line, balance: balances[0]! }
            return { _tag: "Repeated", state: verdict }
          }
        )
      }),

    finish: (id, amounts) =>
      Clock.clockWith((clock) =>
        Effect.flatMap(
          sql<{ readonly outcome: Outcome | "mismatch" }>`
            SELECT ${finish!}(
              ${id},
              ${amounts === undefined ? "voided" : "settled"},
              ${amounts === undefined ? null : JSON.stringify(amounts)},
              ${clock.currentTimeMillisUnsafe() + remember}
            ) AS outcome`,
          ([row]) => row!.outcome === "mismatch" ? mismatch : Effect.succeed(row!.outcome)
        )
      ),

    adjust: ({ account, by, id, slot, until }) =>
      Clock.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        return Effect.map(
          sql<{ readonly outcome: "applied" | "repeated" }>`
            SELECT ${adjust!}(
              ${id}, ${account}, ${slot}, ${by}, ${slotForget(until, now, remember)}, ${now + remember}
            ) AS outcome`,
          ([row]) => row!.outcome
        )
      })
  }
}

/** A bigint comes as text. */
type Answer<A> = { readonly [K in keyof A]: string }
