import { PhysringError } from "../ffi/errors.ts";

/** A number found in shared memory contradicts the protocol. Nothing was accessed on its strength. */
export class CorruptError extends PhysringError {
  constructor(what: string) {
    super(
      "CORRUPT",
      `${what}: the shared memory does not hold what the protocol allows; recreate the region with force`,
    );
  }
}

/** An endpoint (producer or consumer of a ring, producer or lanes of a channel) is taken by a live participant. */
export class InUseError extends PhysringError {
  constructor(what: string, remedy: string) {
    super("IN_USE", `${what} is in use by a live participant; ${remedy}`);
  }
}

/** All participant slots of the region belong to live threads. */
export class ParticipantLimitError extends PhysringError {
  constructor(region: string, capacity: number) {
    super(
      "PARTICIPANT_LIMIT",
      `region ${region} has ${capacity} live participants, its limit; close one, or use a second region`,
    );
  }
}

/** Policy `fail`: no room in a lane or no free block; nothing was sent. */
export class BackpressureError extends PhysringError {
  constructor(what: string) {
    super(
      "BACKPRESSURE",
      `${what}; the policy of this channel is "fail": release frames, or choose another policy`,
    );
  }
}

/** A wait ran into its limit. Nothing was changed. */
export class WaitTimeoutError extends PhysringError {
  constructor(what: string, timeoutMs: number) {
    super("TIMEOUT", `${what}: nothing happened within ${timeoutMs} ms`);
  }
}

/** The producer of a channel died without ending its stream; everything it had published was delivered before. */
export class PeerDiedError extends PhysringError {
  constructor(what: string) {
    super(
      "PEER_DIED",
      `${what}: its producer died; receive with { reconnect: true } to wait for a successor`,
    );
  }
}

/** A frame was used after it was sent or released. */
export class FrameReleasedError extends PhysringError {
  constructor(state: string) {
    super("FRAME_RELEASED", `this frame was ${state}; its bytes belong to somebody else now`);
  }
}

/** A frame that other consumers hold as well can be read and released, not changed or forwarded. */
export class FrameSharedError extends PhysringError {
  constructor(block: number, history?: string) {
    super(
      "FRAME_SHARED",
      history === undefined
        ? `block ${block} is held by others too; only its exclusive holder may forward it: copy it into a new loan`
        : `frames of channel ${history} stay in its history and cannot be forwarded: copy into a new loan, or create that channel without history`,
    );
  }
}

/** An argument outside its documented range. */
export class ArgumentError extends PhysringError {
  constructor(message: string) {
    super("ARGUMENT", message);
  }
}

/** An end (producer, consumer, client, …) that was closed, by `close()` or at the end of its `using`: it belongs to somebody else now. */
export class ClosedError extends PhysringError {
  constructor(what: string) {
    super("CLOSED", `${what} is closed; take a new one`);
  }
}

/** Producer and consumer of one channel must be two participants, and a region handle is one. */
export class SameHandleError extends PhysringError {
  constructor(channel: string) {
    super(
      "SAME_HANDLE",
      `channel ${channel}: this region handle is its other end; open the region a second time for this one`,
    );
  }
}

/** The producer took this consumer's place away: it had gated the channel for longer than `stallTimeoutMs`. */
export class EvictedError extends PhysringError {
  constructor(what: string) {
    super(
      "EVICTED",
      `${what}: this consumer stood still for longer than the channel allows and was evicted; join again with a new one`,
    );
  }
}

/** A live participant has held up a wait for longer than `stallTimeoutMs`. Nothing was changed. */
export class StalledError extends PhysringError {
  /** Who stands still, as the region's participant records have it. */
  readonly participant: number;
  readonly pid: number;

  constructor(what: string, participant: number, pid: number, stalledMs: number) {
    super(
      "STALLED",
      `${what}: participant ${participant} (pid ${pid}) is alive and has not moved for ${Math.round(stalledMs)} ms; resume or end it`,
    );
    this.participant = participant;
    this.pid = pid;
  }
}

/** The queue was ended: no producer may join it any more; what is in it can still be consumed. */
export class QueueEndedError extends PhysringError {
  constructor(queue: string) {
    super("ENDED", `queue ${queue} was ended: it takes no more producers; create a new queue`);
  }
}

/** The server that had a request went (it closed or died) before it answered: the request may or may not have been carried out. */
export class ServerGoneError extends PhysringError {
  constructor(service: string) {
    super(
      "SERVER_GONE",
      `service ${service}: its server went before it answered; the request may or may not have been carried out`,
    );
  }
}

/** The server answered a request with a failure. */
export class RemoteError extends PhysringError {
  /** Code of the error at the server, if it had one. */
  readonly remoteCode: string | null;

  constructor(service: string, message: string, remoteCode: string | null) {
    super("REMOTE", `service ${service}: ${message}`);
    this.remoteCode = remoteCode;
  }
}

/** The writer of a cell overtook a reader again and again. */
export class CellBusyError extends PhysringError {
  constructor(cell: string) {
    super(
      "CELL_BUSY",
      `cell ${cell}: the value was overwritten each time it was read; read again, or create the cell with more buffers`,
    );
  }
}
