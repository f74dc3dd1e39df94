/**
 * The one module that touches shared words. Every protocol step goes through these functions, so that a test can swap
 * this module for one that explores schedules, and so that the orderings have one place where they are justified.
 *
 * Words are elements of an `Int32Array` over a SharedArrayBuffer; `index` counts words. Values are signed 32-bit; compare
 * free-running indices with `(a - b) >>> 0`.
 */
import { Membarrier, membarrier } from "../ffi/process.ts";

/**
 * Acquire load. On x86-64 JavaScriptCore compiles a hot `Atomics.load` to a locked read-modify-write (measured, see
 * docs/ARCHITECTURE.md): it takes the cache line away from its writer. Poll with {@link loadHint} and confirm with this.
 */
export function loadAcquire(words: Int32Array, index: number): number {
  return Atomics.load(words, index);
}

/**
 * Plain load. What it sees is a hint: it may be old, and a loop of nothing but plain loads may be hoisted by the engine,
 * so call {@link pause} in between. Never decide anything on it that {@link loadAcquire} does not confirm.
 */
export function loadHint(words: Int32Array, index: number): number {
  return words[index]!;
}

/** Release store that is also a full fence (an exchange on x86-64). */
export function storeRelease(words: Int32Array, index: number, value: number): void {
  Atomics.store(words, index, value);
}

/** Plain store to a word that no other party reads until a later {@link storeRelease} publishes it. */
export function storePlain(words: Int32Array, index: number, value: number): void {
  words[index] = value;
}

/** Compare and swap, sequentially consistent; true when `expected` was replaced. */
export function compareAndSwap(words: Int32Array, index: number, expected: number, value: number): boolean {
  return Atomics.compareExchange(words, index, expected, value) === expected;
}

/** Atomic AND, sequentially consistent; returns the value before. */
export function fetchAnd(words: Int32Array, index: number, mask: number): number {
  return Atomics.and(words, index, mask);
}

/** Atomic OR, sequentially consistent; returns the value before. */
export function fetchOr(words: Int32Array, index: number, mask: number): number {
  return Atomics.or(words, index, mask);
}

/** Atomic exchange, sequentially consistent; returns the value before. */
export function exchange(words: Int32Array, index: number, value: number): number {
  return Atomics.exchange(words, index, value);
}

const fenceWord = new Int32Array(new SharedArrayBuffer(4));

/** Full fence: a sequentially consistent read-modify-write on a private word. */
export function fence(): void {
  Atomics.add(fenceWord, 0, 0);
}

const loadBarrier = new Int32Array(1);

/**
 * Loads before it are done before loads after it. On x86-64 they are anyway; there this is a store to a private word, which keeps the
 * engine from answering a later plain load with what an earlier one of the same word gave. Elsewhere two read-modify-writes: on ARMv8 loads stay
 * ahead of the first one's release, that ahead of the second one's acquire, but nothing keeps them ahead of the first one's.
 */
export function fenceLoads(): void {
  if (TOTAL_STORE_ORDER) loadBarrier[0] = 0;
  else {
    fence();
    fence();
  }
}

/** Keeps an earlier {@link publish} or {@link storeRelease} ahead of the stores after it. x86-64 keeps stores in order. */
export function fenceStores(): void {
  if (!TOTAL_STORE_ORDER) fence();
}

/**
 * Acquire load for read-only mappings, where `Atomics.load` kills the process once it is hot (it is a locked write on x86-64): a plain
 * load, and whatever is read after it is read after it.
 */
export function loadObserved(words: Int32Array, index: number): number {
  const value = words[index]!;
  fenceLoads();
  return value;
}

/** Spin-loop hint; it also keeps the engine from hoisting the plain loads of the loop around it. */
export function pause(): void {
  Atomics.pause();
}

/** x86-64 is TSO: stores stay in order, loads stay in order, and no load moves before an earlier locked instruction. */
const TOTAL_STORE_ORDER = process.arch === "x64";

/**
 * A load that must not move before an earlier {@link fence}, {@link storeRelease} or read-modify-write of this thread (the
 * waker's side of a doorbell). On x86-64 a plain load serves and leaves the line shared; elsewhere it is a load-acquire, which
 * stays behind an earlier store-release.
 */
export function loadAfterFence(words: Int32Array, index: number): number {
  return TOTAL_STORE_ORDER ? words[index]! : Atomics.load(words, index);
}

/**
 * Whether this process may leave the fence between publishing and reading a doorbell to the sleeper (docs/PROTOCOL.md §3):
 * it is registered for MEMBARRIER_CMD_GLOBAL_EXPEDITED, with which the sleeper runs a full barrier on every processor that
 * runs one of our threads. That is how liburcu and folly make fences asymmetric.
 */
const SLEEPER_FENCES = TOTAL_STORE_ORDER && registerForSleepersFence();

function registerForSleepersFence(): boolean {
  try {
    membarrier(Membarrier.registerGlobalExpedited);
    return true;
  } catch {
    return false; // an old kernel, or a seccomp filter: publish with a fence
  }
}

/**
 * Publishes an index: a release store, and a full fence before a following {@link loadAfterFence} unless the sleeper supplies it.
 *
 * On x86-64 a plain typed-array store is the release: the processor keeps stores in order, and JavaScriptCore keeps typed-array
 * accesses in program order (it holds them all in one abstract heap). That is the engine's choice, not the language's, so
 * test/robust/torture.ts checks it with 2*10^8 messages. `Atomics.store` is an exchange there, a full fence for every message.
 */
export function publish(words: Int32Array, index: number, value: number): void {
  if (SLEEPER_FENCES) words[index] = value;
  else Atomics.store(words, index, value);
}

/**
 * Acquire load of an index whose change a plain load has just shown ({@link loadHint} gave `hint`). On x86-64 that plain load was an
 * acquire already, by the same two facts as {@link publish}; asking again with `Atomics.load` would only take the line from
 * its writer. Elsewhere it is asked again.
 */
export function confirmHint(words: Int32Array, index: number, hint: number): number {
  return TOTAL_STORE_ORDER ? hint : Atomics.load(words, index);
}

/**
 * The sleeper's fence, between arming its doorbell and looking again: orders the look behind the arming, here and, by
 * membarrier(2), at every publisher that left its fence to us. False when the kernel does not provide it: such a publisher's last
 * message can go unnoticed until the sleep ends, so sleep briefly.
 */
export function sleepersFence(): boolean {
  fence();
  if (!TOTAL_STORE_ORDER) return true;
  try {
    membarrier(Membarrier.globalExpedited);
    return true;
  } catch {
    return false;
  }
}
