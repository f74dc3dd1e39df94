/**
 * How every survivor learns who died (PROTOCOL.md §8 step 7): the cleaner writes the dead one's identity into its record and
 * moves the region's count of deaths; each survivor compares the count with the one it saw last.
 */
import { fence, fenceLoads, loadAcquire, loadHint, storePlain, storeRelease } from "../memory/atomics.ts";
import { Control, ParticipantRecord, participantRecordWord, WORD_BYTES } from "../memory/layout.ts";
import type { Quarantine } from "./hardware-recovery.ts";

/** What was cleaned up behind a participant. */
export interface RecoveryEvent {
  /** Slot and generation of the dead participant. */
  readonly participant: number;
  readonly generation: number;
  /** Blocks whose hold was taken from it. */
  readonly blocksReclaimed: number;
  /** Objects that could not be cleaned because their headers are corrupt. */
  readonly corruptObjects: number;
  /** Hardware queues that did not go idle: their blocks are not free. */
  readonly quarantined: readonly Quarantine[];
}

/** A participant of the region died; everything it held has been cleaned up. */
export interface DeathEvent {
  /** Slot and generation of the dead participant; together they name it, pids are used again. */
  readonly participant: number;
  readonly generation: number;
  /** As it was registered, in its own pid namespace. */
  readonly pid: number;
  readonly name: string;
  /** How many others died in the same slot since the last event about it, modulo 256; who they were is not known any more. Nearly always 0. */
  readonly missed: number;
  /** What was cleaned, for the one survivor that did it; null for all others. */
  readonly recovery: RecoveryEvent | null;
}

const NAME_WORDS = ParticipantRecord.nameBytes / WORD_BYTES;
/** A record that changes so often while it is read is being scribbled over. */
const READ_ATTEMPTS = 8;

/** The UTF-8 name at `word` of the control words, as private bytes: shared ones can change while they are decoded. */
export function readParticipantName(words: Int32Array, word: number): string {
  const bytes = new Uint8Array(
    words.buffer,
    words.byteOffset + word * WORD_BYTES,
    ParticipantRecord.nameBytes,
  ).slice();
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? bytes.length : end));
}

/** The generation in a state or death word. */
function generationOf(word: number): number {
  return word >>> ParticipantRecord.generationShift;
}

/** Cleaner only, before it wakes everybody. May be repeated. */
export function recordDeath(words: Int32Array, participant: number, generation: number): void {
  const record = participantRecordWord(participant);
  const last = loadHint(words, record + ParticipantRecord.deathWord);
  if (generationOf(last) !== generation) {
    const count = (last + 1) & ParticipantRecord.deathCountMask;
    const death = (generation << ParticipantRecord.generationShift) | count;
    // SYNC death-whole: begun before the first, and told after the last of pid and name.
    storeRelease(words, record + ParticipantRecord.deathBegunWord, death);
    fence();
    copyIdentity(words, record);
    storeRelease(words, record + ParticipantRecord.deathWord, death);
  }
  // SYNC death-told: pairs with the load in DeathRoll.take. Single writer: the holder of the cleaner byte.
  storeRelease(words, Control.deathsWord, (loadHint(words, Control.deathsWord) + 1) | 0);
}

function copyIdentity(words: Int32Array, record: number): void {
  storePlain(
    words,
    record + ParticipantRecord.deathPidWord,
    loadHint(words, record + ParticipantRecord.pidWord),
  );
  for (let i = 0; i < NAME_WORDS; i++) {
    const name = loadHint(words, record + ParticipantRecord.nameWord + i);
    storePlain(words, record + ParticipantRecord.deathNameWord + i, name);
  }
}

/** What one participant knows of the deaths in its region. */
export class DeathRoll {
  readonly #words: Int32Array;
  /** The death word of each slot when we told of it last. */
  readonly #known = new Int32Array(ParticipantRecord.capacity);
  #count: number;

  /** Deaths up to now are old news. */
  constructor(words: Int32Array) {
    this.#words = words;
    this.#count = loadAcquire(words, Control.deathsWord);
    for (let p = 0; p < ParticipantRecord.capacity; p++) this.#known[p] = this.#lastDeath(p);
  }

  /** Whether somebody died since {@link take}: one plain load. */
  get changed(): boolean {
    return loadHint(this.#words, Control.deathsWord) !== this.#count;
  }

  /** The deaths since the last call; of several in one slot the last one, with the number of the others. */
  take(): Omit<DeathEvent, "recovery">[] {
    // SYNC death-told: the records read below are at least as new as the count.
    this.#count = loadAcquire(this.#words, Control.deathsWord);
    const news: Omit<DeathEvent, "recovery">[] = [];
    for (let participant = 0; participant < ParticipantRecord.capacity; participant++) {
      const known = this.#known[participant]!;
      if (this.#lastDeath(participant) === known) continue;
      const death = this.#read(participant, known);
      if (death !== null) news.push(death);
    }
    return news;
  }

  #lastDeath(participant: number): number {
    return loadAcquire(this.#words, participantRecordWord(participant) + ParticipantRecord.deathWord);
  }

  /** Null: somebody writes it, and moves the count of deaths afterwards. */
  #read(participant: number, known: number): Omit<DeathEvent, "recovery"> | null {
    const record = participantRecordWord(participant);
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const word = this.#lastDeath(participant);
      const pid = loadHint(this.#words, record + ParticipantRecord.deathPidWord);
      const name = readParticipantName(this.#words, record + ParticipantRecord.deathNameWord);
      // SYNC death-whole: nothing newer was read than what the two words agree on.
      fenceLoads();
      if (loadHint(this.#words, record + ParticipantRecord.deathBegunWord) !== word) continue;
      this.#known[participant] = word;
      const missed = (word - known - 1) & ParticipantRecord.deathCountMask;
      return { participant, generation: generationOf(word), pid, name, missed };
    }
    return null;
  }
}
