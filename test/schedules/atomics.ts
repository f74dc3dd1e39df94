/** Takes the place of src/memory/atomics.ts: every access is a switch point, then one step of the {@link Machine}. */
import { Machine } from "./machine.ts";
import { RandomDirector } from "./random.ts";

export const stage = { machine: new Machine("sc", new RandomDirector(1), new Int32Array(0)) };

/** Makes a switching access of an indivisible one; `.now` is the access without the switch. */
export function access<A extends unknown[], R>(
  now: (...args: A) => R,
): ((...args: A) => Generator<void, R, void>) & { now: typeof now } {
  return Object.assign(
    function* (...args: A): Generator<void, R, void> {
      yield;
      return now(...args);
    },
    { now },
  );
}

const at = Machine.at;

export const loadAcquire = access((words: Int32Array, index: number) =>
  stage.machine.loadAcquire(at(words, index)),
);
export const loadHint = access((words: Int32Array, index: number) =>
  stage.machine.loadPlain(at(words, index)),
);
/** These four as shipped: x86-64 makes do with plain accesses, and with the sleeper's membarrier; arm64 asks again. */
export const confirmHint = access((words: Int32Array, index: number, hint: number) =>
  stage.machine.isOrdered ? hint : stage.machine.loadAcquire(at(words, index)),
);
export const loadAfterFence = access((words: Int32Array, index: number) =>
  stage.machine.isOrdered
    ? stage.machine.loadPlain(at(words, index))
    : stage.machine.loadAcquire(at(words, index)),
);
export const publish = access((words: Int32Array, index: number, value: number) =>
  stage.machine.store(at(words, index), value | 0, !stage.machine.isOrdered),
);
export const sleepersFence = access(() => {
  stage.machine.sleepersFence();
  return true;
});
export const storeRelease = access((words: Int32Array, index: number, value: number) =>
  stage.machine.store(at(words, index), value | 0, true),
);
export const storePlain = access((words: Int32Array, index: number, value: number) =>
  stage.machine.store(at(words, index), value | 0, false),
);
export const compareAndSwap = access(
  (words: Int32Array, index: number, expected: number, value: number) =>
    stage.machine.update(at(words, index), (old) => (old === (expected | 0) ? value | 0 : undefined)) ===
    (expected | 0),
);
export const fetchAnd = access((words: Int32Array, index: number, mask: number) =>
  stage.machine.update(at(words, index), (old) => old & mask),
);
export const fetchOr = access((words: Int32Array, index: number, mask: number) =>
  stage.machine.update(at(words, index), (old) => old | mask),
);
export const exchange = access((words: Int32Array, index: number, value: number) =>
  stage.machine.update(at(words, index), () => value | 0),
);
export const fence = access(() => stage.machine.fence());
/** On arm64 a full fence, as shipped. */
export const fenceLoads = access(() => stage.machine.fenceUnlessOrdered());
export const fenceStores = access(() => stage.machine.fenceUnlessOrdered());
/** In a loop that waits for somebody: others go on first. */
export const pause = access(() => {
  stage.machine.gaveWay = true;
});
