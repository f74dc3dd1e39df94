/** How a participant wakes others (PROTOCOL.md §3 "Doorbell"). It costs a system call only when somebody sleeps. */
import { closeFile } from "../ffi/files.ts";
import { futexWake } from "../ffi/futex.ts";
import { datagramSocket, sendByteTo, unixAddress } from "../ffi/sockets.ts";
import { compareAndSwap, loadAfterFence } from "../memory/atomics.ts";
import type { ControlArea } from "../memory/control.ts";
import { ParticipantRecord, WORD_BYTES } from "../memory/layout.ts";
import { DoorbellWord, doorbellIndex, socketPath, stateIndex } from "./doorbell-word.ts";

/** One for each region handle; holds the socket that datagrams leave from. */
export class DoorbellRinger implements Disposable {
  // On the path of every commit: TypeScript-private, see spsc.ts.
  private readonly words: Int32Array;
  readonly #control: ControlArea;
  #socketFd = -1;
  readonly #addresses: { generation: number; address: Uint8Array }[] = [];

  constructor(control: ControlArea) {
    this.#control = control;
    this.words = control.words;
  }

  /**
   * Wakes `participant` if it sleeps. The caller has published before (SYNC doorbell: publish, fence, read against arm, fence,
   * look). True when it was asleep, and nobody else has rung it.
   */
  ring(participant: number): boolean {
    // The index may come from an owner word in shared memory: out of range is nobody.
    if (participant < 0 || participant >= ParticipantRecord.capacity) return false;
    const index = doorbellIndex(participant);
    return loadAfterFence(this.words, index) !== DoorbellWord.awake && this.#wake(participant);
  }

  /**
   * The doorbell changed meanwhile: somebody else woke it, or it looked again after we had published. A datagram leaves before the
   * doorbell is disarmed: stopped in between, we have woken it; stopped before, others still can.
   */
  #wake(participant: number): boolean {
    const index = doorbellIndex(participant);
    const armed = loadAfterFence(this.words, index);
    const mode = armed & DoorbellWord.modeMask;
    if (mode === DoorbellWord.asleepInEventLoop) this.#send(participant);
    if (armed === DoorbellWord.awake || !compareAndSwap(this.words, index, armed, DoorbellWord.awake))
      return false;
    if (mode === DoorbellWord.asleepInFutex) this.#futexWake(participant);
    return true;
  }

  #futexWake(participant: number): void {
    futexWake(this.#control.address + doorbellIndex(participant) * WORD_BYTES, 1);
  }

  #send(participant: number): void {
    if (this.#socketFd < 0) this.#socketFd = datagramSocket();
    sendByteTo(this.#socketFd, this.#addressOf(participant));
  }

  #addressOf(participant: number): Uint8Array {
    const state = loadAfterFence(this.#control.words, stateIndex(participant));
    const generation = state >>> ParticipantRecord.generationShift;
    const cached = this.#addresses[participant];
    if (cached?.generation === generation) return cached.address;
    const address = unixAddress(socketPath(this.#control.doorbellDirectory, participant, generation));
    this.#addresses[participant] = { generation, address };
    return address;
  }

  /** Wakes everybody, whatever the doorbells say: a waker may have died between disarming one and waking (§8 step 7). */
  wakeAll(): void {
    for (let participant = 0; participant < ParticipantRecord.capacity; participant++) {
      const phase =
        loadAfterFence(this.#control.words, stateIndex(participant)) & ParticipantRecord.phaseMask;
      if (phase !== ParticipantRecord.phaseLive) continue;
      // An old waker disarmed first.
      this.#send(participant);
      this.#wake(participant);
      this.#futexWake(participant);
    }
  }

  [Symbol.dispose](): void {
    if (this.#socketFd >= 0) closeFile(this.#socketFd);
    this.#socketFd = -1;
  }
}
