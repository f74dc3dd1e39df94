/** Bun.spawn with `ipc`, serialization "advanced", between two processes. Roles: parent (drives), child. */
import { type Job, type PeerResult, report, thisJob } from "../job.ts";
import type { Reading } from "../objects.ts";
import { consumeWithCredits, ping, pong, produceWithCredits, type Transport } from "./exchange.ts";

type Message = Int32Array | Reading | number;

async function runParent(job: Job): Promise<void> {
  let deliver: (message: Message) => void = () => undefined;
  let finish: (result: PeerResult) => void = () => undefined;
  let ready: () => void = () => undefined;
  const finished = new Promise<PeerResult>((resolve) => {
    finish = resolve;
  });
  const isReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const childJob: Job = { ...job, role: "child" };
  const child = Bun.spawn(
    ["taskset", "-c", String(job.secondCpu), process.execPath, import.meta.path, JSON.stringify(childJob)],
    {
      stdio: ["ignore", "ignore", "inherit"],
      serialization: "advanced",
      ipc: (message: Message | PeerResult | "ready") => {
        if (message === "ready") ready();
        else if (typeof message === "object" && "checksum" in message) finish(message);
        else deliver(message);
      },
    },
  );
  await isReady;
  const transport: Transport = {
    send: (message) => child.send(message),
    onMessage: (callback) => {
      deliver = callback;
    },
  };
  report(
    await (job.kind === "roundtrip" ? ping(job, transport) : produceWithCredits(job, transport, finished)),
  );
  await finished;
  child.disconnect();
  await child.exited;
}

async function runChild(job: Job): Promise<void> {
  let deliver: (message: Message) => void = () => undefined;
  process.on("message", (message: Message) => deliver(message));
  const send = (message: unknown): void => {
    process.send!(message);
  };
  const transport: Transport = {
    send,
    onMessage: (callback) => {
      deliver = callback;
    },
  };
  const result = job.kind === "roundtrip" ? pong(job, transport) : consumeWithCredits(job, transport);
  send("ready");
  send(await result);
}

const job = thisJob();
await (job.role === "child" ? runChild(job) : runParent(job));
