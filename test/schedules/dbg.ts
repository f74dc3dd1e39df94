import { loadCoroutines } from "./bench.ts";
import { RecordsBench, runRecords } from "./records.ts";
import { buildCoroutines } from "./transform.ts";

const code = await loadCoroutines(buildCoroutines("/tmp/dbgco", null));
for (const [mode, c, v, e] of [
  ["reliable", 1, 0, false],
  ["reliable", 2, 1, true],
  ["lossy", 1, 0, false],
  ["lossy", 2, 1, false],
] as const) {
  const b = new RecordsBench(code, {
    name: "x",
    mode,
    consumers: c,
    visitors: v,
    history: 0,
    deaths: 2,
    evicts: e,
  });
  let steps = 0;
  const N = 1500;
  const t = process.cpuUsage().user;
  const hist: number[] = [];
  for (let i = 0; i < N; i++) {
    const s = runRecords(b, (["sc", "tso", "arm"] as const)[i % 3]!, i);
    steps += s;
    hist.push(s);
  }
  hist.sort((a, b) => a - b);
  console.log(
    mode,
    c,
    v,
    "steps",
    steps / N,
    "median",
    hist[N / 2],
    "p90",
    hist[(N * 0.9) | 0],
    "max",
    hist[N - 1],
    "cpu us/schedule",
    (process.cpuUsage().user - t) / N,
    "ns/step",
    ((process.cpuUsage().user - t) / steps) * 1000,
  );
}
