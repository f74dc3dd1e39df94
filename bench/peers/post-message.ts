/** postMessage (structured clone) between the main thread and a Worker of one process. Drives both ends. */
import { parentPort } from "node:worker_threads";
import { type PeerResult, report, thisJob } from "../job.ts";
import { consumeWithCredits, ping, pong, produceWithCredits, type Transport } from "./exchange.ts";
import { isMainThread, startWorker, workerStart } from "./worker-thread.ts";

type Message = Int32Array | number;

if (isMainThread) {
  const job = thisJob();
  const worker = await startWorker(import.meta.path, { job, memory: null });
  let deliver: (message: Message) => void = () => undefined;
  const finished = new Promise<PeerResult>((resolve) => {
    worker.on("message", (message: Message | PeerResult) => {
      if (typeof message === "number" || ArrayBuffer.isView(message)) deliver(message);
      else resolve(message);
    });
  });
  const transport: Transport = {
    send: (message) => worker.postMessage(message),
    onMessage: (callback) => {
      deliver = callback;
    },
  };
  report(
    await (job.kind === "roundtrip" ? ping(job, transport) : produceWithCredits(job, transport, finished)),
  );
  await finished;
  await worker.terminate();
} else {
  const { job } = workerStart();
  const port = parentPort!;
  let deliver: (message: Message) => void = () => undefined;
  port.on("message", (message: Message) => deliver(message));
  const transport: Transport = {
    send: (message) => port.postMessage(message),
    onMessage: (callback) => {
      deliver = callback;
    },
  };
  const result = job.kind === "roundtrip" ? pong(job, transport) : consumeWithCredits(job, transport);
  port.postMessage({ ready: true });
  port.postMessage(await result);
}
