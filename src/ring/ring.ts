/**
 * A named SPSC ring in a region: creation, attaching, and waiting around the algorithm of spsc.ts.
 *
 *     const ring = Ring.create(region, "commands", { slotBytes: 16, capacity: 1024 });   // one process
 *     using tx = ring.producer();
 *     const rx = Ring.open(region, "commands").consumer();                               // another
 */
import type { AppearOptions } from "../memory/appear.ts";
import { loadAfterFence } from "../memory/atomics.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ObjectKind } from "../memory/layout.ts";
import { openOrCreate } from "../memory/open-or-create.ts";
import type { Region } from "../memory/region.ts";
import type { WaitStrategy } from "./doorbell.ts";
import type { DoorbellRinger } from "./doorbell-ringer.ts";
import { InUseError } from "./errors.ts";
import { expectShape } from "./expect-shape.ts";
import { RingLayout } from "./layout.ts";
import { attachOwner, detachOwner, ownerParticipant } from "./owner.ts";
import { Participant } from "./participant.ts";
import {
  checkRingShape,
  openRingGeometry,
  type RingGeometry,
  type RingShape,
  ringSizeBytes,
  writeRing,
} from "./ring-geometry.ts";
import { SpscConsumer, SpscProducer } from "./spsc.ts";
import type { Waitable } from "./wait-any.ts";

/** For opening an object that somebody else creates. */
export interface OpenOptions {
  /** Wait so many milliseconds for it to appear, blocking the thread; default 0. */
  readonly waitMs?: number;
}

/** How long and how to wait. */
export interface WaitOptions {
  /** Milliseconds; default: no limit. */
  readonly timeoutMs?: number;
}

/** For waits that block the thread. */
export interface BlockOptions extends WaitOptions {
  /** Default `spin-then-futex`: up to 20 µs of spinning, then a kernel sleep. */
  readonly strategy?: WaitStrategy;
}

/** For waits that leave the event loop free. */
export interface AwaitOptions extends WaitOptions {
  readonly signal?: AbortSignal;
}

/** A ring as one region handle sees it. */
export class Ring {
  readonly region: Region;
  readonly geometry: RingGeometry;

  private constructor(region: Region, geometry: RingGeometry) {
    this.region = region;
    this.geometry = geometry;
  }

  /** Creates an empty ring.
   * @throws ArgumentError when the shape is outside the limits; the directory's errors when the name exists or space is short */
  static create(region: Region, name: string, shape: RingShape): Ring {
    checkRingShape(name, shape);
    const entry = region.directory.create(ObjectKind.ring, name, ringSizeBytes(shape), (offset) =>
      writeRing(region, offset, shape, 0),
    );
    return new Ring(region, openRingGeometry(region, entry));
  }

  /**
   * Opens a ring by name, waiting for it if asked to. Its shape comes from the segment; numbers given here are what the caller can deal with.
   * @throws RegionError `OBJECT_NOT_FOUND`, `OBJECT_KIND`, `OBJECT_SHAPE`
   */
  static open(region: Region, name: string, options: OpenOptions & Partial<RingShape> = {}): Ring {
    return Ring.#checked(region, region.directory.open(name, ObjectKind.ring, options.waitMs), options);
  }

  /** {@link open} if it is there, and of the shape that `options` say; else {@link create}. */
  static openOrCreate(region: Region, name: string, options: RingShape): Ring {
    return openOrCreate(
      () => Ring.open(region, name, options),
      () => Ring.create(region, name, options),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync(
    region: Region,
    name: string,
    options: AppearOptions & Partial<RingShape> = {},
  ): Promise<Ring> {
    return Ring.#checked(region, await region.directory.openAsync(name, ObjectKind.ring, options), options);
  }

  static #checked(region: Region, entry: DirectoryEntry, expected: Partial<RingShape>): Ring {
    const geometry = openRingGeometry(region, entry);
    const { slotBytes, capacity } = expected;
    expectShape(`ring ${entry.name}`, geometry, { slotBytes, capacity });
    return new Ring(region, geometry);
  }

  /** Becomes the producer. @throws InUseError when another live participant is */
  producer(): RingProducer {
    const participant = this.#attach(RingLayout.producerOwnerWord, "producer");
    return new RingProducer(this.geometry, participant);
  }

  /** Becomes the consumer. @throws InUseError when another live participant is */
  consumer(): RingConsumer {
    const participant = this.#attach(RingLayout.consumerOwnerWord, "consumer");
    return new RingConsumer(this.geometry, participant);
  }

  #attach(ownerWord: number, end: string): Participant {
    const participant = Participant.of(this.region);
    const { words, name } = this.geometry;
    if (attachOwner(words, ownerWord, participant.index) !== 0) return participant;
    participant.recoverDead();
    if (attachOwner(words, ownerWord, participant.index) !== 0) return participant;
    throw new InUseError(`the ${end} end of ring ${name}`, "close that one first, or use a ring each");
  }
}

/** Blocks the thread until the end is ready (true), or the time is up (false). */
function blockOn(end: Waitable, options: BlockOptions): boolean {
  const { timeoutMs = Infinity, strategy = "spin-then-futex" } = options;
  return end.participant.doorbell.block(end, timeoutMs, strategy);
}

/** {@link blockOn}, leaving the event loop free. */
function waitOn(end: Waitable, options: AwaitOptions): Promise<boolean> {
  return end.participant.doorbell.wait(end, options.timeoutMs ?? Infinity, options.signal);
}

/** The producer end of a named ring; wakes a sleeping consumer at commit. */
export class RingProducer extends SpscProducer implements Disposable, Waitable {
  /** @internal */
  readonly participant: Participant;
  private readonly ringer: DoorbellRinger;
  private open = true;

  /** @internal Use {@link Ring.producer}. */
  constructor(ring: RingGeometry, participant: Participant) {
    super(ring);
    this.participant = participant;
    this.ringer = participant.ringer;
  }

  protected override onFull(): void {
    this.participant.suspectDeath();
  }

  /** Publishes the first `count` reserved slots with one store, and wakes the consumer if it sleeps. */
  override commit(count: number): void {
    super.commit(count);
    this.ringer.ring(ownerParticipant(loadAfterFence(this.words, RingLayout.consumerOwnerWord)));
  }

  /** Blocks the thread until a slot is free; false at the time limit. */
  block(options: BlockOptions = {}): boolean {
    return blockOn(this, options);
  }

  /** Resolves when a slot is free (true) or at the time limit (false). */
  wait(options: AwaitOptions = {}): Promise<boolean> {
    return waitOn(this, options);
  }

  /** Leaves the ring; what is in it stays. Idempotent. */
  close(): void {
    if (this.open && !this.participant.region.closed) {
      detachOwner(this.words, RingLayout.producerOwnerWord, this.participant.index);
    }
    this.open = false;
    this.shut();
    this.participant.lookAgain();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The consumer end of a named ring; wakes a sleeping producer at release. */
export class RingConsumer extends SpscConsumer implements Disposable, Waitable {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  /** @internal */
  readonly participant: Participant;
  private readonly ringer: DoorbellRinger;
  private open = true;

  /** @internal Use {@link Ring.consumer}. */
  constructor(ring: RingGeometry, participant: Participant) {
    super(ring);
    this.participant = participant;
    this.ringer = participant.ringer;
  }

  protected override onEmpty(): void {
    this.participant.suspectDeath();
  }

  /** Gives the first `count` peeked slots back with one store, and wakes the producer if it sleeps. */
  override release(count: number): void {
    super.release(count);
    this.ringer.ring(ownerParticipant(loadAfterFence(this.words, RingLayout.producerOwnerWord)));
  }

  /** Blocks the thread until something is committed; false at the time limit. */
  block(options: BlockOptions = {}): boolean {
    return blockOn(this, options);
  }

  /** Resolves when something is committed (true) or at the time limit (false). */
  wait(options: AwaitOptions = {}): Promise<boolean> {
    return waitOn(this, options);
  }

  /** Leaves the ring; what is in it stays. Idempotent. */
  close(): void {
    if (this.open && !this.participant.region.closed) {
      detachOwner(this.words, RingLayout.consumerOwnerWord, this.participant.index);
    }
    this.open = false;
    this.shut();
    this.participant.lookAgain();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
