/**
 * Request and response: one server, many clients (PROTOCOL.md §14). Every client has a place of its own, so that nobody waits for
 * another client's death, stop or slowness.
 *
 *     const motor = Service.create<Move, Position>(region, "motor", { clients: 4 });
 *     using server = motor.server();
 *     await server.serve(async (move) => drive(move));
 *
 *     using client = Service.open<Move, Position>(region, "motor").client();        // another process
 *     const position = await client.call({ axis: 1, to: 30 }, { timeoutMs: 1000 });
 */
import type { AppearOptions } from "../memory/appear.ts";
import { loadAfterFence } from "../memory/atomics.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ObjectKind } from "../memory/layout.ts";
import { openOrCreate } from "../memory/open-or-create.ts";
import type { Region } from "../memory/region.ts";
import { InUseError } from "../ring/errors.ts";
import { expectShape } from "../ring/expect-shape.ts";
import { attachOwner, ownerParticipant } from "../ring/owner.ts";
import { Participant } from "../ring/participant.ts";
import type { RecordsShape } from "../ring/records-geometry.ts";
import { RecordsLayout } from "../ring/records-layout.ts";
import type { OpenOptions } from "../ring/ring.ts";
import {
  createServiceGeometry,
  openServiceGeometry,
  type ServiceGeometry,
} from "../ring/service-geometry.ts";
import { ServiceLayout } from "../ring/service-layout.ts";
import { stallShapeOf } from "../ring/stall-shape.ts";
import { decodeShapes, encodeShapes, type Shape } from "./codec.ts";
import { ServiceClient } from "./service-client.ts";
import { ServiceServer } from "./service-server.ts";

/** What a service is created with; everything is stored in the segment. */
export interface ServiceOptions {
  /** Most clients at a time, 1 to 30; default 8. */
  readonly clients?: number;
  /** Bytes for the requests of each client that wait, a power of two; default 64 KiB. The largest request is nearly half of it. */
  readonly requestBytes?: number;
  /** The same for responses. */
  readonly responseBytes?: number;
  /** Shapes of requests and responses, see {@link MessagesOptions.shapes}. */
  readonly shapes?: readonly Shape[];
  /** A client that lets its responses pile up for so many milliseconds loses its place (EvictedError); default 5000, 0: never. */
  readonly stallTimeoutMs?: number;
}

/** What an opener relies on; undefined: anything. */
export type ServiceExpectation = Pick<ServiceOptions, "clients" | "requestBytes" | "responseBytes">;

const DEFAULT_CLIENTS = 8;
const DEFAULT_CAPACITY_BYTES = 65536;
const DEFAULT_STALL_TIMEOUT_MS = 5000;

function recordsShape(capacityBytes: number, stallTimeoutMs: number, annotation: Uint8Array): RecordsShape {
  return {
    capacityBytes,
    mode: "reliable",
    maxConsumers: 1,
    policy: "block",
    history: 0,
    ...stallShapeOf({ stallTimeoutMs }),
    annotation,
  };
}

function checkedGeometry(
  region: Region,
  entry: DirectoryEntry,
  expected: ServiceExpectation,
): ServiceGeometry {
  const geometry = openServiceGeometry(region, entry);
  const { requests, responses } = geometry.places[0]!;
  const found: Required<ServiceExpectation> = {
    clients: geometry.places.length,
    requestBytes: requests.capacityBytes,
    responseBytes: responses.capacityBytes,
  };
  const { clients, requestBytes, responseBytes } = expected;
  expectShape(`service ${entry.name}`, found, { clients, requestBytes, responseBytes });
  return geometry;
}

export class Service<Request = unknown, Response = unknown> {
  readonly geometry: ServiceGeometry;
  /** Shapes as the creator fixed them. */
  readonly shapes: readonly Shape[];

  private constructor(geometry: ServiceGeometry) {
    this.geometry = geometry;
    this.shapes = decodeShapes(geometry.places[0]!.requests.annotation);
  }

  /** Creates a service without a server. @throws ArgumentError; the directory's errors when the name exists or space is short */
  static create<Request = unknown, Response = unknown>(
    region: Region,
    name: string,
    options: ServiceOptions = {},
  ): Service<Request, Response> {
    const annotation = encodeShapes(options.shapes ?? []);
    const stallTimeoutMs = options.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS;
    const geometry = createServiceGeometry(region, name, {
      placeCount: options.clients ?? DEFAULT_CLIENTS,
      // A server that stands still is waited for: its clients have time limits.
      requests: recordsShape(options.requestBytes ?? DEFAULT_CAPACITY_BYTES, 0, annotation),
      responses: recordsShape(options.responseBytes ?? DEFAULT_CAPACITY_BYTES, stallTimeoutMs, annotation),
    });
    return new Service(geometry);
  }

  /**
   * Opens a service by name, waiting for it if asked to. Its shape comes from the segment; what is given here is what the caller relies on.
   * @throws RegionError `OBJECT_NOT_FOUND`, `OBJECT_KIND`, `OBJECT_SHAPE`
   */
  static open<Request = unknown, Response = unknown>(
    region: Region,
    name: string,
    options: OpenOptions & ServiceExpectation = {},
  ): Service<Request, Response> {
    const entry = region.directory.open(name, ObjectKind.service, options.waitMs);
    return new Service(checkedGeometry(region, entry, options));
  }

  /** {@link open} if it is there, and of the shape that `options` say; else {@link create}. */
  static openOrCreate<Request = unknown, Response = unknown>(
    region: Region,
    name: string,
    options: ServiceOptions = {},
  ): Service<Request, Response> {
    return openOrCreate(
      () => Service.open<Request, Response>(region, name, options),
      () => Service.create<Request, Response>(region, name, options),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync<Request = unknown, Response = unknown>(
    region: Region,
    name: string,
    options: AppearOptions & ServiceExpectation = {},
  ): Promise<Service<Request, Response>> {
    const entry = await region.directory.openAsync(name, ObjectKind.service, options);
    return new Service(checkedGeometry(region, entry, options));
  }

  get name(): string {
    return this.geometry.name;
  }

  /** Most clients at a time. */
  get maxClients(): number {
    return this.geometry.places.length;
  }

  /** Clients attached now. */
  get clients(): number {
    const taken = this.geometry.places.filter(
      ({ requests }) =>
        ownerParticipant(loadAfterFence(requests.words, RecordsLayout.producerOwnerWord)) >= 0,
    );
    return taken.length;
  }

  /** Becomes the server. @throws InUseError when another live participant is */
  server(): ServiceServer<Request, Response> {
    const participant = Participant.of(this.geometry.region);
    const attach = (): boolean =>
      attachOwner(this.geometry.words, ServiceLayout.serverOwnerWord, participant.index) !== 0;
    if (!attach()) {
      participant.recoverDead();
      if (!attach()) throw new InUseError(`the server of service ${this.name}`, "stop that one first");
    }
    return new ServiceServer<Request, Response>(this.geometry, participant, this.shapes);
  }

  /** Becomes a client. @throws InUseError when every place has a live client */
  client(): ServiceClient<Request, Response> {
    const participant = Participant.of(this.geometry.region);
    for (let pass = 0; pass < 2; pass++) {
      for (const place of this.geometry.places) {
        const client = ServiceClient.take<Request, Response>(this.geometry, place, participant, this.shapes);
        if (client !== null) return client;
      }
      participant.recoverDead();
    }
    throw new InUseError(
      `every place of service ${this.name} (${this.maxClients})`,
      "close a client, or create the service with more clients",
    );
  }
}
