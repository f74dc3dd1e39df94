/** Request and response as users see it: every call answered once, by whoever is there, or a typed error. */
import { describe, expect, test } from "bun:test";
import {
  ArgumentError,
  ClosedError,
  InUseError,
  MessageInvalidError,
  RemoteError,
  ServerGoneError,
  Service,
  type ServiceOptions,
  WaitTimeoutError,
} from "../../src/index.ts";
import { firstLine } from "../support/lines.ts";
import { RegionPair } from "../support/regions.ts";

const PEER = new URL("fixtures/service-peer.ts", import.meta.url).pathname;

function setup(options: ServiceOptions = {}) {
  const pair = new RegionPair("service", "8MiB");
  const created = Service.create<number, number>(pair.a, "s", options);
  return { pair, created, opened: Service.open<number, number>(pair.b, "s") };
}

function spawn(name: string, ...args: string[]): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  return Bun.spawn([process.execPath, PEER, name, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
}

describe("one process, two handles", () => {
  test("calls are answered, in any order, to whoever asked", async () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using server = created.server();
    using one = opened.client();
    using two = opened.client();
    const serving = server.serve(async (value) => {
      await Bun.sleep(value % 3);
      return value * 10;
    });
    const calls = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? one : two).call(i));
    expect(await Promise.all(calls)).toEqual(calls.map((_, i) => i * 10));
    expect([one.underWay, two.underWay]).toEqual([0, 0]);
    expect(server.counters).toEqual({ answered: 300, skipped: 0, undelivered: 0 });
    expect(opened.clients).toBe(2);
    server.close();
    await expect(serving).rejects.toThrow(ClosedError);
  });

  test("an aborted serve answers what is under way", async () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using server = created.server();
    using client = opened.client();
    const stop = new AbortController();
    const serving = server.serve(
      async (value) => {
        stop.abort();
        await Bun.sleep(5);
        return value + 1;
      },
      { signal: stop.signal },
    );
    expect(await client.call(1)).toBe(2);
    await serving;
  });

  test("failures of the handler and responses that are none reach the caller", async () => {
    const { pair } = setup();
    using _ = pair;
    const service = Service.create<string, unknown>(pair.a, "failing");
    using server = service.server();
    using client = Service.open<string, unknown>(pair.b, "failing").client();
    void server
      .serve((what) => {
        if (what === "code") throw new WaitTimeoutError("the arm", 5);
        if (what === "text") throw "plain";
        if (what === "large") return "x".repeat(40_000);
        if (what === "circular") {
          const loop: unknown[] = [];
          loop.push(loop);
          return loop;
        }
        return undefined;
      })
      .catch(() => undefined);
    await expect(client.call("code")).rejects.toMatchObject({ code: "REMOTE", remoteCode: "TIMEOUT" });
    await expect(client.call("text")).rejects.toThrow("plain");
    await expect(client.call("large")).rejects.toThrow(RemoteError);
    await expect(client.call("circular")).rejects.toThrow(RemoteError);
    await expect(client.call("y".repeat(40_000))).rejects.toThrow(ArgumentError);
    await expect(client.call((() => 1) as unknown as string)).rejects.toThrow(MessageInvalidError);
    expect(await client.call("nothing")).toBeNull();
  });

  test("requests by hand: reply once, notifications need none", async () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using server = created.server();
    using client = opened.client();
    await client.notify(5);
    const notification = await server.receiveAsync();
    expect([notification.value, notification.notification]).toEqual([5, true]);
    const answer = client.call(6);
    const request = await server.receiveAsync();
    expect(await request.reply(7)).toBe(true);
    await expect(request.reply(8)).rejects.toThrow(ArgumentError);
    expect(await answer).toBe(7);
    expect(server.tryReceive()).toBeNull();
    expect(() => server.receive({ timeoutMs: 10 })).toThrow(WaitTimeoutError);
  });

  test("time limits, aborts, and no server", async () => {
    const { pair, created, opened } = setup();
    using _ = pair;
    using client = opened.client();
    expect(client.connected).toBe(false);
    await expect(client.call(1, { timeoutMs: 10 })).rejects.toThrow(WaitTimeoutError);
    expect(() => client.callBlocking(1, { timeoutMs: 10 })).toThrow(WaitTimeoutError);
    const early = client.call(2);
    using server = created.server();
    const request = await server.receiveAsync();
    await expect(client.call(3, { signal: AbortSignal.timeout(10) })).rejects.toThrow();
    await expect(client.call(4, { timeoutMs: 10 })).rejects.toThrow(WaitTimeoutError);
    await request.reply(20);
    expect(await early).toBe(20);
    // What was given up is answered all the same, to nobody.
    for (const value of [3, 4]) {
      const late = await server.receiveAsync();
      expect(late.value).toBe(value);
      await late.reply(0);
    }
    const next = client.call(5);
    await (await server.receiveAsync()).reply(50);
    expect(await next).toBe(50);
  });

  test("one server, as many clients as places", () => {
    const { pair, created, opened } = setup({ clients: 2 });
    using _ = pair;
    using server = created.server();
    expect(() => opened.server()).toThrow(InUseError);
    using one = opened.client();
    {
      using two = opened.client();
      expect([one.place, two.place]).toEqual([0, 1]);
      expect(() => opened.client()).toThrow(InUseError);
    }
    using again = opened.client();
    expect(again.place).toBe(1);
    server.close();
    using successor = opened.server();
    expect(successor.ready()).toBe(false);
  });

  test("a client that leaves is not answered; what it asked is not put to its successor's account", async () => {
    const { pair, created, opened } = setup({ clients: 1 });
    using _ = pair;
    using server = created.server();
    const first = opened.client();
    const lost = first.call(1);
    const request = await server.receiveAsync();
    const failures = [lost, first.call(2)].map((call) => call.catch((error: unknown) => error));
    await Bun.sleep(0);
    first.close();
    for (const error of await Promise.all(failures)) expect(error).toBeInstanceOf(ClosedError);
    using second = opened.client();
    expect(await request.reply(10)).toBe(false);
    const answer = second.call(3);
    const next = await server.receiveAsync();
    expect(next.value).toBe(3);
    await next.reply(30);
    expect(await answer).toBe(30);
    expect(server.counters.skipped).toBe(2);
  });
});

describe("other processes", () => {
  test("several clients, blocking and not", async () => {
    const { pair, created } = setup();
    using _ = pair;
    const server = spawn(pair.name, "serve");
    await firstLine(server.stdout);
    const clients = [spawn(pair.name, "call", "3000"), spawn(pair.name, "call", "3000")];
    using own = created.client();
    for (let i = 0; i < 500; i++) expect(own.callBlocking(i)).toBe(2 * i);
    for (const client of clients) expect(await firstLine(client.stdout)).toBe("wrong 0");
    server.kill("SIGKILL");
    await server.exited;
  });

  test("a blocking call takes the responses that hold up the server, whose requests hold up the call", async () => {
    using pair = new RegionPair("service", "4MiB");
    const small = { requestBytes: 4096, responseBytes: 4096, stallTimeoutMs: 0 };
    const service = Service.create<string, string>(pair.a, "s", small);
    const server = spawn(pair.name, "serve-one-by-one");
    using _ended = { [Symbol.dispose]: () => server.kill("SIGKILL") };
    await firstLine(server.stdout);
    using client = service.client();
    await client.waitForServer();
    const text = "x".repeat(1000);
    const answers: Promise<string>[] = [];
    // The event loop, which would take them, stands still: three responses lie, one more has no room, and then requests lie.
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 3; i++) answers.push(client.call(text));
      for (let i = 0; i < 20; i++) await null; // they are published, and nothing else happens
      Bun.sleepSync(100);
    }
    expect(client.callBlocking(text, { timeoutMs: 5000 })).toBe(text);
    expect(await Promise.all(answers)).toEqual(answers.map(() => text));
  });

  test("a server killed with requests under way: ServerGoneError, and the next one answers the next calls", async () => {
    const { pair, created } = setup();
    using _ = pair;
    using client = created.client();
    let next: Promise<number> | null = null;
    for (let round = 0; round < 3; round++) {
      const server = spawn(pair.name, "serve");
      await firstLine(server.stdout);
      if (next !== null) expect(await next).toBe(2 * round);
      for (let i = 0; i < 200; i++) expect(await client.call(i)).toBe(2 * i);
      server.kill("SIGSTOP");
      const lost = client.call(7).catch((error: unknown) => error);
      await Bun.sleep(1);
      server.kill("SIGKILL");
      await server.exited;
      expect(await lost).toBeInstanceOf(ServerGoneError);
      next = client.call(round + 1); // waits for the next server
    }
    next?.catch(() => undefined);
  });

  test("killed clients are skipped, their places used again", async () => {
    const { pair, created } = setup({ clients: 2 });
    using _ = pair;
    using server = created.server();
    const stop = new AbortController();
    const serving = server.serve((value) => value * 2, { signal: stop.signal });
    for (let round = 0; round < 5; round++) {
      const before = server.counters.answered;
      const client = spawn(pair.name, "call");
      while (server.counters.answered < before + 200) await Bun.sleep(1);
      client.kill("SIGKILL");
      await client.exited;
    }
    expect(await firstLine(spawn(pair.name, "call", "500").stdout)).toBe("wrong 0");
    stop.abort();
    await serving;
  });

  test("a client that stands still loses its place, and holds nobody up", async () => {
    const { pair, created, opened } = setup({ responseBytes: 4096, stallTimeoutMs: 50 });
    using _ = pair;
    using server = created.server();
    const stop = new AbortController();
    const serving = server.serve((value) => value * 2, { signal: stop.signal });
    const stalled = spawn(pair.name, "call-and-stop");
    await firstLine(stalled.stdout);
    using client = opened.client();
    for (let i = 0; i < 300; i++) expect(await client.call(i, { timeoutMs: 10_000 })).toBe(2 * i);
    stalled.kill("SIGKILL");
    await stalled.exited;
    stop.abort();
    await serving;
  });
});
