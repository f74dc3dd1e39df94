/** Message channels as users see them: values in, the same values out, in other processes, late, after crashes, from hostile peers. */

import { describe, expect, test } from "bun:test";
import { packMetadata, unpackMetadata } from "../../src/channel/metadata.ts";
import {
  ArgumentError,
  BackpressureError,
  MessageInvalidError,
  Messages,
  type MessagesOptions,
  PeerDiedError,
  Region,
  WaitTimeoutError,
} from "../../src/index.ts";
import { RegionPair } from "../support/regions.ts";

const PEER = new URL("fixtures/message-peer.ts", import.meta.url).pathname;
const SHAPE = ["id", "name", "x", "tags"];

function setup(options: Partial<MessagesOptions> = {}) {
  const pair = new RegionPair("messages", "4MiB");
  const created = Messages.create(pair.a, "m", { capacityBytes: 65536, shapes: [SHAPE], ...options });
  return { pair, created, opened: Messages.open(pair.b, "m") };
}

function spawn(name: string, ...args: string[]): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  return Bun.spawn([process.execPath, PEER, name, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
}

/** What the peer sends. */
function sent(id: number): unknown {
  return { id, name: `n${id}`, x: id / 2, tags: ["a", id] };
}

describe("values", () => {
  test("come back as they were, of any size a record can have, in and out of place", () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    const values = [
      { id: 1, name: "a", x: 0.5, tags: [] },
      null,
      0,
      "text",
      [1, [2, [3]]],
      { other: "shape", at: new Date(1e12), bytes: new Uint8Array([1, 2]) },
      "z".repeat(30_000),
      { id: 2, name: "b".repeat(3000), x: -1, tags: ["t"] },
    ];
    for (let round = 0; round < 40; round++) {
      for (const value of values) {
        tx.send(value);
        expect(rx.tryReceive()).toEqual(value);
      }
    }
    expect(rx.tryReceive()).toBeUndefined();
  });

  test("typed arrays, bytes, sets and errors too, in place, apart, with a shape and as metadata", () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    const shared = new Uint16Array(new SharedArrayBuffer(8), 2, 2);
    shared.set([1000, 2000]);
    const values = [
      new Uint8Array([1, 2, 3]),
      new Int8Array([-1]),
      new Uint8ClampedArray([255]),
      new Int16Array([-1000]),
      new Uint16Array([1000, 2000]),
      new Int32Array([1 << 30]),
      new Uint32Array([2 ** 32 - 1]),
      new Float32Array([1.5, 2.5, -3]),
      new Float64Array(new Float64Array([0, Math.PI]).buffer, 8, 1),
      new BigInt64Array([-(2n ** 63n)]),
      new BigUint64Array([2n ** 64n - 1n]),
      new Float32Array(3000).fill(0.1),
      new DataView(new Uint8Array([9, 8]).buffer),
      new Uint8Array([7]).buffer,
      new Set([1, "a"]),
      /a+/gi,
      2n ** 70n,
    ];
    for (const value of values)
      for (const message of [value, { id: 1, name: value, x: 0, tags: [value] }]) {
        tx.send("SECRET".repeat(2000));
        rx.tryReceive();
        tx.send(message);
        const received = rx.tryReceive();
        expect(received).toEqual(message);
        const part = message === value ? received : (received as { name: unknown }).name;
        expect(Object.getPrototypeOf(part)).toBe(Object.getPrototypeOf(value));
        const area = new Uint8Array(65536);
        expect(unpackMetadata(area, packMetadata(message, area))).toEqual(message);
      }
    tx.send({ a: shared, b: Buffer.from("bytes"), c: new TypeError("no") });
    expect(rx.tryReceive()).toEqual({
      a: new Uint16Array([1000, 2000]),
      b: Buffer.from("bytes"),
      c: new TypeError("no"),
    });
  });

  test("what cannot be sent says so, and the stream goes on", () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    const circular: unknown[] = [];
    circular.push(circular);
    tx.send(6);
    expect(() => tx.send(circular)).toThrow(MessageInvalidError);
    expect(() => tx.send(undefined)).toThrow(/undefined cannot be sent/);
    expect(() => tx.send(() => 0)).toThrow(/function cannot be sent/);
    expect(() => tx.send("x".repeat(40_000))).toThrow(ArgumentError);
    expect(() => tx.send("x".repeat(40_000))).toThrow(/a record of 4\d+ bytes; the largest has/);
    tx.send(7);
    expect([rx.tryReceive(), rx.tryReceive(), rx.tryReceive()]).toEqual([6, 7, undefined]);
    expect([rx.sequence, rx.missed]).toEqual([1, 0]);
  });

  test("a burst is shown at its end, and where room runs out; the rest goes through in pieces", () => {
    const { pair, created, opened } = setup({ capacityBytes: 8192 });
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    const values = Array.from({ length: 500 }, (_, i) => ({ id: i, name: "n", x: i, tags: [i] }));
    function* watched() {
      for (const value of values.slice(0, 3)) {
        yield value;
        expect(rx.ready()).toBe(false);
      }
    }
    expect(tx.sendAll(watched())).toBe(3);
    for (const value of values.slice(0, 3)) expect(rx.tryReceive()).toEqual(value);
    // More than the ring holds: what is finished is shown where room runs out, and the burst waits for the rest.
    expect(() => tx.sendAll(values, { timeoutMs: 0 })).toThrow(WaitTimeoutError);
    const shown: unknown[] = [];
    for (let value = rx.tryReceive(); value !== undefined; value = rx.tryReceive()) shown.push(value);
    expect(shown.length).toBeGreaterThan(100);
    expect(shown).toEqual(values.slice(0, shown.length));
    for (let at = shown.length; at < values.length; at += 50) {
      const piece = values.slice(at, at + 50);
      expect(tx.sendAll(piece)).toBe(piece.length);
      for (const value of piece) expect(rx.tryReceive()).toEqual(value);
    }
  });

  test("shapes lie in the segment; nonsense there is an error, not a guess", () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    expect(opened.shapes).toEqual([SHAPE]);
    expect(Messages.create(pair.a, "plain", { capacityBytes: 4096 }).shapes).toEqual([]);
    expect(() => Messages.create(pair.a, "bad", { capacityBytes: 4096, shapes: [["a", "a"]] })).toThrow(
      ArgumentError,
    );
    expect(created.name).toBe("m");
  });
});

describe("room", () => {
  test("fail, drop-newest, and the time limit of block", () => {
    for (const policy of ["fail", "drop-newest", "block"] as const) {
      const { pair, created, opened } = setup({ capacityBytes: 4096, policy });
      using _ = pair;
      using tx = created.producer();
      using rx = opened.consumer();
      const fill = (): boolean => tx.send("y".repeat(1000), { timeoutMs: 30 });
      for (let i = 0; i < 4; i++) if (i < 3) expect(fill()).toBe(true);
      for (let i = 0; i < 2 && policy !== "block"; i++) {
        if (policy === "fail")
          expect(() => {
            for (let j = 0; j < 3; j++) fill();
          }).toThrow(BackpressureError);
        else for (let j = 0; j < 3; j++) fill();
      }
      if (policy === "block")
        expect(() => {
          for (let j = 0; j < 3; j++) fill();
        }).toThrow(WaitTimeoutError);
      while (rx.tryReceive() !== undefined);
      expect(fill()).toBe(true);
    }
  });

  test("lossy: a slow consumer learns how many it missed, and what it gets is whole", () => {
    const { pair, created, opened } = setup({ mode: "lossy", capacityBytes: 8192 });
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    for (let i = 0; i < 5000; i++) tx.send({ id: i, name: "n", x: i, tags: [i] });
    let got = 0;
    let last = -1;
    for (let value = rx.tryReceive(); value !== undefined; value = rx.tryReceive()) {
      const { id, x } = value as { id: number; x: number };
      expect(x).toBe(id);
      expect(id).toBeGreaterThan(last);
      last = id;
      got++;
    }
    expect(last).toBe(4999);
    expect(got + rx.missed).toBe(5000);
  });

  test("a late consumer starts with the history", () => {
    const { pair, created, opened } = setup({ history: 16, maxConsumers: 2 });
    using _ = pair;
    using tx = created.producer();
    for (let i = 0; i < 100; i++) tx.send(i);
    using rx = opened.consumer({ history: 5 });
    const got: unknown[] = [];
    for (let value = rx.tryReceive(); value !== undefined; value = rx.tryReceive()) got.push(value);
    expect(got).toEqual([95, 96, 97, 98, 99]);
  });
});

describe("other processes", () => {
  test("every message, once, in order, until the end", async () => {
    const { pair, created } = setup();
    using _ = pair;
    using rx = created.consumer();
    const child = spawn(pair.name, "send", "20000");
    let expected = 0;
    for await (const value of rx) {
      expect(value).toEqual({ id: expected, name: `n${expected}`, x: expected / 2, tags: ["a", expected] });
      expected++;
    }
    expect(expected).toBe(20_000);
    expect(await child.exited).toBe(0);
  });

  test("a producer killed at any moment: what it published can be decoded, then PeerDiedError", async () => {
    const { pair, created } = setup();
    using _ = pair;
    using rx = created.consumer();
    const child = spawn(pair.name, "send");
    let expected = 0;
    const receive = async (): Promise<void> => {
      for await (const value of rx) {
        expect(value).toEqual(sent(expected));
        if (++expected === 3000) child.kill("SIGKILL");
      }
    };
    await expect(receive()).rejects.toThrow(PeerDiedError);
    expect(expected).toBeGreaterThanOrEqual(3000);
  });

  test("with reconnect, successors of the killed go on where they start", async () => {
    const { pair, created } = setup();
    using _ = pair;
    using rx = created.consumer({ reconnect: true });
    for (let round = 0; round < 4; round++) {
      const child = spawn(pair.name, "send");
      let value = await rx.receiveAsync();
      // What is left of the killed one comes first.
      while ((value as { id: number }).id !== 0) value = await rx.receiveAsync();
      for (let id = 0; id < 1000 + 777 * round; id++, value = await rx.receiveAsync())
        expect(value).toEqual(sent(id));
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  test("a peer that rewrites the bytes while they are decoded: values and typed errors, nothing else", async () => {
    const { pair, created, opened } = setup({ policy: "block" });
    using _ = pair;
    await using scribbler = spawn(pair.name, "scribble"); // killed when disposed
    const reader = scribbler.stdout.getReader();
    await reader.read();
    using tx = created.producer();
    using rx = opened.consumer();
    let refused = 0;
    let sent = 0;
    const pad = "p".repeat(100);
    // On a busy machine the two may take long to run at the same time.
    const deadlineMs = performance.now() + 40_000;
    for (let i = 0; i < 20_000 || (refused === 0 && performance.now() < deadlineMs); i++, sent = i) {
      // 120 bytes of payload and 8 of header: headers stay at multiples of 128, where the scribbler leaves them alone.
      tx.send(pad + String(i).padStart(18, "0"));
      try {
        rx.tryReceive();
      } catch (error) {
        expect(error).toBeInstanceOf(MessageInvalidError);
        refused++;
      }
    }
    expect(rx.sequence).toBe(sent - 1);
    expect(refused).toBeGreaterThan(0);
  });

  test("aborted and timed-out waits leave everything as it was", async () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    await expect(rx.receiveAsync({ signal: AbortSignal.timeout(20) })).rejects.toThrow();
    await expect(rx.receiveAsync({ timeoutMs: 20 })).rejects.toThrow(WaitTimeoutError);
    expect(() => rx.receive({ timeoutMs: 20 })).toThrow(WaitTimeoutError);
    tx.send(null);
    expect(await rx.receiveAsync()).toBeNull();
    tx.close();
    expect(await rx.receiveAsync()).toBeUndefined();
    pair.a.close();
    expect(() => Region.open(`${pair.name}-none`)).toThrow();
  });
});
