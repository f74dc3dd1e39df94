/** What is explored: for each topology scenarios, the smallest cases of them, and the mistakes that must be caught. */
import { Bench, type Coroutines } from "./bench.ts";
import { CellBench, type CellScenario, runCell } from "./cell.ts";
import { CELL_MUTATIONS } from "./cell-mutations.ts";
import type { Director } from "./director.ts";
import { DOORBELL_MUTATIONS } from "./doorbell-mutations.ts";
import { type LaneScenario, runLanes } from "./lanes.ts";
import type { Model } from "./machine.ts";
import {
  DROP_MUTATIONS,
  EVICTION_MUTATIONS,
  HISTORY_MUTATIONS,
  LANE_MUTATIONS,
  type NamedMutation,
  SPSC_MUTATIONS,
} from "./mutations.ts";
import { QueueBench, type QueueScenario, runQueue } from "./queue.ts";
import { QUEUE_MANY_MUTATIONS, QUEUE_ONE_MUTATIONS, QUEUE_STALL_MUTATIONS } from "./queue-mutations.ts";
import { RECORD_MUTATIONS } from "./record-mutations.ts";
import { RecordsBench, type RecordsScenario, runRecords } from "./records.ts";
import { SERVICE_MUTATIONS } from "./service-mutations.ts";
import { runServices, ServicesBench, type ServicesScenario } from "./services.ts";
import { runSpsc, SpscBench, type SpscScenario } from "./spsc.ts";
import type { Bound } from "./systematic.ts";

/** Runs one schedule; throws when a promise is broken. */
export type Runner = (model: Model, director: Director) => number;

export interface Scenario {
  readonly name: string;
  readonly runner: (code: Coroutines) => Runner;
}

/** A scenario that is explored exhaustively under some models, each within a bound. */
export interface SmallCase extends Scenario {
  readonly bounds: readonly (Bound & { readonly model: Model })[];
}

export interface Topology {
  readonly name: string;
  /** With the shipped doorbells. */
  readonly doorbells?: boolean;
  readonly scenarios: readonly Scenario[];
  readonly small: readonly SmallCase[];
  readonly mutations: readonly NamedMutation[];
}

function lanes(scenario: LaneScenario): Scenario {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new Bench(code, scenario);
      return (model, director) => runLanes(bench, scenario, model, director);
    },
  };
}

function spsc(scenario: SpscScenario): Scenario {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new SpscBench(code, scenario);
      return (model, director) => runSpsc(bench, model, director);
    },
  };
}

function queue(scenario: QueueScenario): Scenario {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new QueueBench(code, scenario);
      return (model, director) => runQueue(bench, scenario, model, director);
    },
  };
}

function records(scenario: RecordsScenario): Scenario {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new RecordsBench(code, scenario);
      return (model, director) => runRecords(bench, model, director);
    },
  };
}

function services(scenario: ServicesScenario): Scenario {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new ServicesBench(code, scenario);
      return (model, director) => runServices(bench, model, director);
    },
  };
}

function cell(scenario: CellScenario): Scenario {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new CellBench(code, scenario);
      return (model, director) => runCell(bench, scenario, model, director);
    },
  };
}

type Within = readonly [
  model: Model,
  switches: number,
  memory: number,
  deaths: number,
  picks: number,
  stops?: number,
];

function small(scenario: Scenario, ...bounds: readonly Within[]): SmallCase {
  return {
    ...scenario,
    bounds: bounds.map(([model, switches, memory, deaths, picks, stops = 0]) => ({
      model,
      switches,
      memory,
      deaths,
      picks,
      stops,
    })),
  };
}

const RELIABLE = {
  mode: "reliable",
  messages: 7,
  consumers: 2,
  visitors: 0,
  history: 0,
  deaths: 2,
  evicts: false,
} as const;
const LOSSY = { ...RELIABLE, mode: "lossy" } as const;

const QUEUE = { producers: 2, messages: 3, deaths: 2 } as const;
const LANES = { consumers: 2, capacity: 2, blocks: 3, frames: 6, deaths: 2 } as const;

const COMMON: readonly Within[] = [
  ["sc", 1, 0, 1, 0],
  ["sc", 2, 0, 0, 0],
  ["tso", 1, 1, 0, 0],
  ["arm", 1, 1, 0, 0],
];
const TINY = { slotBytes: 16, capacity: 2, messages: 3 } as const;
const ONE = { consumers: 1, capacity: 2, blocks: 2, frames: 2, deaths: 1 } as const;
const HISTORY = { ...LANES, delivery: "all", history: 2, blocks: 5, turnover: 3 } as const;
/** The producer loans again at once what falls out of the history, while consumers that join again and again are stopped anywhere. */
const TIGHT = { turnover: 2, history: 1, blocks: 2, frames: 12, deaths: 0, stops: 60 } as const;
const STALL = { producers: 1, messages: 3, deaths: 1, patience: 1, policy: "block", evicts: true } as const;
const SERVICE = {
  places: 2,
  clients: 2,
  calls: 1,
  valueBytes: 16,
  deaths: 2,
  evicts: false,
  restless: false,
} as const;
const RUNG = { producers: 2, messages: 2, deaths: 2, policy: "block", doorbells: true } as const;
const LARGE = { places: 1, clients: 1, calls: 3, valueBytes: 2000, evicts: true, restless: true } as const;
const PAIR = { producers: 2, messages: 1, deaths: 1 } as const;

export const TOPOLOGIES: readonly Topology[] = [
  {
    name: "SPSC ring",
    scenarios: [
      spsc({ name: "descriptors over the wrap", slotBytes: 16, capacity: 4, messages: 12 }),
      spsc({ name: "slots of a line over the wrap", slotBytes: 64, capacity: 2, messages: 12 }),
    ],
    small: [
      small(
        spsc({ ...TINY, name: "three messages" }),
        ["sc", 3, 0, 0, 0],
        ["sc", 2, 0, 0, 1],
        ["tso", 2, 1, 0, 0],
        ["arm", 2, 1, 0, 0],
      ),
    ],
    mutations: SPSC_MUTATIONS,
  },
  {
    name: "lanes",
    scenarios: [
      lanes({ ...LANES, name: "block, all", policy: "block", delivery: "all" }),
      lanes({ ...LANES, name: "block, one", policy: "block", delivery: "one" }),
      lanes({ ...LANES, name: "drop-newest, all", policy: "drop-newest", delivery: "all" }),
      lanes({ ...LANES, name: "come and go", policy: "block", delivery: "all", turnover: 3 }),
    ],
    small: [
      small(lanes({ ...ONE, name: "two frames", policy: "block", delivery: "all" }), ...COMMON),
      small(
        lanes({ ...ONE, frames: 1, name: "come and go", policy: "block", delivery: "all", turnover: 1 }),
        ...COMMON,
        ["sc", 1, 0, 0, 1],
      ),
    ],
    mutations: LANE_MUTATIONS,
  },
  {
    name: "drop-oldest lanes",
    scenarios: [
      lanes({ ...LANES, name: "drop-oldest, all", policy: "drop-oldest", delivery: "all" }),
      lanes({ ...LANES, name: "drop-oldest, one", policy: "drop-oldest", delivery: "one" }),
    ],
    small: [
      small(
        lanes({ ...ONE, frames: 3, name: "three frames", policy: "drop-oldest", delivery: "all" }),
        ...COMMON,
      ),
    ],
    mutations: DROP_MUTATIONS,
  },
  {
    name: "lanes with eviction",
    scenarios: [
      lanes({ ...LANES, name: "evict, all", policy: "block", delivery: "all", evicts: true }),
      lanes({ ...LANES, name: "evict, one", policy: "block", delivery: "one", evicts: true }),
    ],
    small: [
      small(
        lanes({
          ...ONE,
          frames: 3,
          patience: 0,
          name: "three frames, evict",
          policy: "block",
          delivery: "all",
          evicts: true,
        }),
        ...COMMON,
      ),
    ],
    mutations: EVICTION_MUTATIONS,
  },
  {
    name: "lanes with history",
    scenarios: [
      lanes({ ...HISTORY, name: "block", policy: "block" }),
      lanes({ ...HISTORY, name: "block, one frame", policy: "block", ...TIGHT }),
      lanes({ ...HISTORY, name: "successors", policy: "block", ...TIGHT, deaths: 2, successors: true }),
      lanes({ ...HISTORY, name: "drop-newest", policy: "drop-newest" }),
      lanes({ ...HISTORY, name: "drop-oldest", policy: "drop-oldest" }),
      lanes({ ...HISTORY, name: "evict", policy: "block", evicts: true, turnover: undefined }),
    ],
    small: [],
    mutations: HISTORY_MUTATIONS,
  },
  {
    name: "queue, one consumer",
    scenarios: [queue({ ...QUEUE, name: "block", consumers: "one", policy: "block" })],
    small: [
      small(queue({ ...PAIR, name: "two producers", consumers: "one", policy: "block" }), ...COMMON, [
        "sc",
        1,
        0,
        0,
        1,
      ]),
    ],
    mutations: QUEUE_ONE_MUTATIONS,
  },
  {
    name: "queue, many consumers",
    scenarios: [
      queue({ ...QUEUE, name: "block", consumers: "many", policy: "block" }),
      queue({ ...QUEUE, name: "drop-oldest", consumers: "many", policy: "drop-oldest" }),
    ],
    small: [
      small(
        queue({ ...PAIR, name: "two by two", consumers: "many", policy: "block" }),
        ["sc", 1, 0, 0, 1],
        ["tso", 1, 1, 0, 0],
        ["arm", 1, 1, 0, 0],
      ),
      small(
        queue({ producers: 1, messages: 4, deaths: 0, name: "stops", consumers: "many", policy: "block" }),
        ["sc", 1, 0, 0, 0, 1],
      ),
    ],
    mutations: QUEUE_MANY_MUTATIONS,
  },
  {
    name: "queue with eviction",
    scenarios: [
      queue({ ...QUEUE, name: "one consumer", consumers: "one", policy: "block", evicts: true }),
      queue({ ...QUEUE, name: "many consumers", consumers: "many", policy: "block", evicts: true }),
    ],
    small: [
      small(
        queue({ ...STALL, name: "one consumer stops", consumers: "one" }),
        ["sc", 0, 0, 0, 0, 2],
        ["tso", 1, 1, 0, 0],
        ["arm", 1, 1, 0, 0],
      ),
      small(
        queue({ ...STALL, name: "one of many stops", consumers: "many" }),
        ["sc", 1, 0, 0, 0, 1],
        ["sc", 0, 0, 1, 0, 1],
      ),
    ],
    mutations: QUEUE_STALL_MUTATIONS,
  },
  {
    name: "reliable records",
    scenarios: [
      records({ ...RELIABLE, name: "one consumer", consumers: 1 }),
      records({ ...RELIABLE, name: "come and go, history", consumers: 1, visitors: 2, history: 3 }),
      records({ ...RELIABLE, name: "evicted", consumers: 1, visitors: 2, evicts: true, deaths: 1 }),
      records({ ...RELIABLE, name: "two consumers" }),
    ],
    small: [
      small(records({ ...RELIABLE, messages: 3, consumers: 1, name: "three messages" }), ...COMMON),
      small(
        records({
          ...RELIABLE,
          messages: 6,
          lengthBytes: 2040,
          consumers: 1,
          visitors: 1,
          evicts: "once",
          deaths: 0,
          name: "stopped and evicted",
        }),
        ["sc", 0, 0, 0, 0, 2],
      ),
    ],
    mutations: RECORD_MUTATIONS.reliable,
  },
  {
    name: "lossy records",
    scenarios: [
      records({ ...LOSSY, name: "one reader", consumers: 1 }),
      records({ ...LOSSY, name: "readers come and go, history", visitors: 1, history: 3 }),
    ],
    small: [small(records({ ...LOSSY, messages: 4, consumers: 1, name: "four messages" }), ...COMMON)],
    mutations: RECORD_MUTATIONS.lossy,
  },
  {
    name: "cell",
    scenarios: [cell({ name: "two readers, two deaths", readers: 2, values: 7, deaths: 2 })],
    small: [small(cell({ name: "one reader", readers: 1, values: 5, deaths: 1 }), ...COMMON)],
    mutations: CELL_MUTATIONS,
  },
  {
    name: "services",
    scenarios: [
      services({ ...SERVICE, name: "a place for each" }),
      services({ ...SERVICE, name: "one place, they come and go", places: 1, restless: true }),
      services({ ...SERVICE, ...LARGE, name: "no room, evicted" }),
    ],
    small: [
      small(
        services({ ...SERVICE, name: "one call", places: 1, clients: 1, deaths: 1 }),
        ["sc", 1, 0, 0, 0],
        ["sc", 0, 0, 1, 0],
        ["tso", 1, 1, 0, 0],
        ["arm", 1, 1, 0, 0],
      ),
    ],
    mutations: SERVICE_MUTATIONS,
  },
  {
    name: "doorbells",
    doorbells: true,
    scenarios: [
      queue({ ...RUNG, name: "one consumer", consumers: "one" }),
      queue({ ...RUNG, name: "many consumers", consumers: "many" }),
    ],
    small: [],
    mutations: DOORBELL_MUTATIONS,
  },
];
