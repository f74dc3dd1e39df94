/**
 * Byte-exact layout of a service (PROTOCOL.md §14 is the authority).
 *
 *     +0                          geometry            creator
 *     +128                        server owner        CAS
 *     +256                        counters            server
 *     +384 + placeBytes c         place c: requests   records (§12): a client produces, the server consumes
 *          + responsesOffset      responses           records: the server produces, the client consumes
 *
 * A message in either: a header, then the value (§15).
 */
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";

const LINE_WORDS = LINE_BYTES / WORD_BYTES;

export const ServiceLayout = {
  magic: 0x56524553, // "SERV"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  placeCountWord: 2,
  placeBytesWord: 3,
  placesOffsetWord: 4,
  responsesOffsetWord: 5,
  serverOwnerWord: LINE_WORDS,
  answeredWord: 2 * LINE_WORDS,
  skippedWord: 2 * LINE_WORDS + 1,
  undeliveredWord: 2 * LINE_WORDS + 2,
  placesOffset: 3 * LINE_BYTES,
  maxPlaces: 30,
} as const;

/**
 *     w0 correlation | w1 stay: the client's producer-owner word of its requests | w2 kind | w3 0 | value
 */
export const ServiceHeader = {
  correlationWord: 0,
  stayWord: 1,
  kindWord: 2,
  /** 0. */
  reservedWord: 3,
  sizeBytes: 16,
} as const;

export const ServiceKind = { request: 0, notification: 1, response: 2, failure: 3 } as const;
