/** Single-line mistakes in services that the schedules must catch. */
import type { NamedMutation } from "./mutations.ts";

const CALLER = "src/ring/service-caller.ts";
const DESKS = "src/ring/service-desks.ts";
const MESSAGE = "src/ring/service-message.ts";
const ENDS = "src/ring/record-ends.ts";
const RECOVERY = "src/ring/recovery.ts";

export const SERVICE_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "server looked at after its answers",
    file: CALLER,
    from: "if (call.serverStay !== serverStay) this.conclude",
    to: "if (call.serverStay !== this.serverStay()) this.conclude",
  },
  {
    what: "an earlier client's answer taken for one's own",
    where: "one place, they come and go",
    file: CALLER,
    from: "if (message.stay === this.stay) this.conclude",
    to: "if (message.stay !== 0) this.conclude",
  },
  {
    what: "asleep although the server is gone",
    file: CALLER,
    from: "for (const call of this.calls.values()) if (call.serverStay !== serverStay) return true;",
    to: "",
  },
  {
    what: "a call without a server",
    file: CALLER,
    from: "if (serverStay === 0) return 0;",
    to: "",
  },
  {
    what: "a place that cannot be had whole is kept",
    where: "one place, they come and go",
    file: CALLER,
    from: "// An evicted client has not let go yet.\n    detachOwner(words, RecordsLayout.producerOwnerWord, participant);",
    to: "",
  },
  {
    what: "a server that is joining taken for one that is there",
    file: CALLER,
    from: "return receiverOf(owner) < 0 ? 0 : owner;",
    to: "return (owner & 0x7f) === 0 ? 0 : owner;",
  },
  {
    what: "requests of clients that are gone are carried out",
    file: DESKS,
    from: "if (isClientHere(place, message.stay)) return",
    to: "if (message.stay !== 0) return",
  },
  {
    what: "clients do not learn that a server came",
    file: DESKS,
    from: "ringRecordProducer(place.requests.words, ringer);",
    to: "",
  },
  {
    what: "only the first client is asked for a wake-up",
    where: "a place for each",
    file: DESKS,
    from: "for (const { requests } of this.all) if",
    to: "for (const { requests } of this.all.slice(0, 1)) if",
  },
  {
    what: "only the first client is served",
    where: "a place for each",
    file: DESKS,
    from: "const desk = (this.turn + i) % this.all.length;",
    to: "const desk = 0;",
  },
  {
    what: "given back before it is read",
    where: "no room, evicted",
    file: MESSAGE,
    from: "const { data, word, bytes, offset, length } = rx;",
    to: "const { data, word, bytes, offset, length } = rx; rx.release();",
  },
  {
    what: "room that nobody hears of",
    where: "no room, evicted",
    file: ENDS,
    from: "ringer.ring(ownerParticipant(owner));",
    to: "",
  },
  {
    what: "evicted while it leaves: its cursor stays taken",
    where: "no room, evicted",
    file: "src/ring/owner.ts",
    from: "const DETACH_ATTEMPTS = 4;",
    to: "const DETACH_ATTEMPTS = 1;",
  },
  {
    what: "recovery leaves the responses of the dead",
    file: RECOVERY,
    from: "detachRecords(responses, participant);",
    to: "",
  },
  {
    what: "recovery leaves the requests of the dead",
    file: RECOVERY,
    from: "detachRecords(requests, participant);",
    to: "",
  },
  {
    what: "a dead server stays the server",
    file: RECOVERY,
    from: "detachOwner(words, ServiceLayout.serverOwnerWord, participant);",
    to: "",
  },
];
