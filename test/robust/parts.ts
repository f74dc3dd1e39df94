/**
 * Topologies of the kill test kill-parts.ts. **To add one**: write `parts-NAME.ts` that exports a {@link Topology}, and list it below.
 *
 * A *part* is what one process does: attach (`actor.attach`, which tries again while a dead predecessor is cleaned up), say
 * `ready(actor)`, then loop until `actor.stopping`, calling `actor.beat()` every round (that is where faults are armed) and
 * `actor.frame()` for progress; `actor.fault(text)` whatever it sees that may not be. Every part dies by SIGKILL between any two
 * protocol steps, or is stopped there, and gets a successor with another `options.incarnation`. Waits must be limited
 * (`PATIENCE_MS`). The {@link Ledger} says afterwards what got lost.
 */
import type { Region } from "../../src/index.ts";
import type { Random } from "../support/random.ts";
import type { Actor } from "./actor-roles.ts";
import type { Ledger } from "./ledger.ts";
import { cell } from "./parts-cell.ts";
import { framesEvicting, framesHistory } from "./parts-frames.ts";
import { messages } from "./parts-messages.ts";
import {
  queueDropNewest,
  queueDropOldest,
  queueEvicting,
  queueFailing,
  queueMany,
  queueOne,
  queueOneEvicting,
} from "./parts-queue.ts";
import { recordsEvicting, recordsLossy, recordsReliable } from "./parts-records.ts";
import { ring } from "./parts-ring.ts";
import { service } from "./parts-service.ts";

export interface Part {
  /** Processes at a time. */
  readonly count: number;
  /** Work goes to any of them: it is enough that one goes on. */
  readonly together?: boolean;
  run(actor: Actor, region: Region): Promise<void>;
}

/** What {@link Topology.verify} has to go by, when everybody has left. */
export interface Aftermath {
  readonly region: Region;
  readonly ledger: Ledger;
  /** Processes that were killed, by part. */
  readonly kills: Readonly<Record<string, number>>;
}

export interface Topology {
  readonly name: string;
  readonly parts: Readonly<Record<string, Part>>;
  /** Makes the objects of a scenario in its new region (1 MiB). */
  create(region: Region, random: Random): void;
  /** What is wrong: lost, twice, or an end that cannot be taken any more. */
  verify(after: Aftermath): string[] | Promise<string[]>;
}

export const topologies: readonly Topology[] = [
  ring,
  queueOne,
  queueMany,
  queueDropOldest,
  queueDropNewest,
  queueFailing,
  queueEvicting,
  queueOneEvicting,
  cell,
  service,
  recordsReliable,
  recordsEvicting,
  recordsLossy,
  messages,
  framesHistory,
  framesEvicting,
];
