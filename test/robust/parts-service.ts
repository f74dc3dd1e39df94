/** Request and response in the kill test: each answer is the right one, no request is carried out twice, clients outlive servers and the other way round. */
import { type Region, ServerGoneError, Service, WaitTimeoutError } from "../../src/index.ts";
import type { Random } from "../support/random.ts";
import { type Actor, PATIENCE_MS, ready, strategyOf } from "./actor-roles.ts";
import { Ledger, MOST_NUMBERS } from "./ledger.ts";
import type { Aftermath, Topology } from "./parts.ts";

const NAME = "s";
const CLIENTS = 3;
const BURST = 4;
const PAD = "p".repeat(100);

interface Question {
  readonly incarnation: number;
  readonly number: number;
  readonly text: string;
}

interface Answer {
  readonly incarnation: number;
  readonly number: number;
  readonly sum: number;
}

function open(region: Region): Service<Question, Answer> {
  return Service.open<Question, Answer>(region, NAME);
}

function question(incarnation: number, number: number): Question {
  return { incarnation, number, text: PAD.slice(0, number % PAD.length) };
}

function sumOf({ incarnation, number, text }: Question): number {
  return (Math.imul(incarnation, 31) + Math.imul(number, 17) + text.length) | 0;
}

async function serve(actor: Actor, region: Region): Promise<void> {
  using ledger = Ledger.open(`${region.name}-ledger`);
  using server = await actor.attach("server", () => open(region).server());
  ready(actor);
  const { wait } = actor.options;
  while (!actor.stopping) {
    actor.beat();
    try {
      const request =
        wait === "await"
          ? await server.receiveAsync({ timeoutMs: PATIENCE_MS })
          : server.receive({ timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) });
      const { value } = request;
      if (value.text !== PAD.slice(0, value.number % PAD.length))
        actor.fault(`request ${value.incarnation}:${value.number} is torn`);
      if (!ledger.received(value.incarnation, value.number))
        actor.fault(`request ${value.incarnation}:${value.number} came twice`);
      await request.reply({ incarnation: value.incarnation, number: value.number, sum: sumOf(value) });
      actor.frame();
    } catch (error) {
      if (!(error instanceof WaitTimeoutError)) throw error;
    }
  }
}

async function ask(actor: Actor, region: Region): Promise<void> {
  const { incarnation, wait } = actor.options;
  using client = await actor.attach("client", () => open(region).client());
  ready(actor);
  const check = (asked: Question, answer: Answer): void => {
    if (answer.incarnation !== incarnation || answer.number !== asked.number || answer.sum !== sumOf(asked))
      actor.fault(`question ${incarnation}:${asked.number} got the answer ${JSON.stringify(answer)}`);
    actor.frame();
  };
  const one = async (asked: Question): Promise<void> => {
    try {
      if (wait === "await") check(asked, await client.call(asked, { timeoutMs: PATIENCE_MS }));
      else check(asked, client.callBlocking(asked, { timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) }));
    } catch (error) {
      // Nobody knows whether it was carried out: it is not asked again.
      if (!(error instanceof ServerGoneError || error instanceof WaitTimeoutError)) throw error;
      actor.survive(error);
    }
  };
  for (let number = 0; !actor.stopping; ) {
    actor.beat();
    const count = 1 + actor.random.below(BURST);
    if (number + count > MOST_NUMBERS) {
      actor.frame();
      await Bun.sleep(2);
      continue;
    }
    await Promise.all(Array.from({ length: count }, (_, i) => one(question(incarnation, number + i))));
    number += count;
    if (actor.random.oneIn(16)) await Bun.sleep(actor.random.below(2));
  }
}

function create(region: Region, random: Random): void {
  Service.create(region, NAME, {
    clients: CLIENTS,
    requestBytes: random.pick([4096, 16384]),
    responseBytes: random.pick([4096, 16384]),
    shapes: [
      ["incarnation", "number", "text"],
      ["incarnation", "number", "sum"],
    ],
    stallTimeoutMs: 0, // the stopped go on
  });
}

/** Every place and the server's end can be taken again. */
async function verify({ region, ledger }: Aftermath): Promise<string[]> {
  const faults: string[] = [];
  if (ledger.duplicates > 0) faults.push(`${ledger.duplicates} requests were carried out twice`);
  const service = open(region);
  if (service.clients !== 0) faults.push(`${service.clients} places are still taken`);
  using server = service.server();
  const clients = Array.from({ length: CLIENTS }, () => service.client());
  for (const [place, client] of clients.entries()) {
    await client.notify(question(9000 + place, 1));
    if (server.tryReceive()?.value.incarnation !== 9000 + place)
      faults.push(`place ${place} does not work any more`);
    client.close();
  }
  return faults;
}

export const service: Topology = {
  name: "service",
  parts: {
    server: { count: 1, run: serve },
    client: { count: CLIENTS, run: ask },
  },
  create,
  verify,
};
