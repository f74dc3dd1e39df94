/** Unix datagram sockets for doorbells that an event loop can wait for. */
import { constants } from "node:os";
import { SystemError } from "./errors.ts";
import { addressOf, errno, libc, pointer } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** sizeof(sockaddr_un.sun_path), with the terminating NUL. */
const PATH_BYTES = 108;

const { EBADF, EFAULT, ENOTSOCK, EINTR, ENAMETOOLONG } = constants.errno;

/** A non-blocking, close-on-exec datagram socket. */
export function datagramSocket(): number {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new SystemError("socket", errno());
  return fd;
}

/** `struct sockaddr_un` of a path, exactly as long as it has to be. */
export function unixAddress(path: string): Uint8Array {
  const name = Buffer.from(path, "utf8");
  if (name.byteLength === 0 || name.byteLength >= PATH_BYTES || name.includes(0)) {
    throw new SystemError("sockaddr_un", ENAMETOOLONG, {
      path,
      remedy: `a socket path has 1 to ${PATH_BYTES - 1} bytes; use a shorter region name or PHYSRING_SHM_DIR`,
    });
  }
  const address = new Uint8Array(new ArrayBuffer(2 + name.byteLength + 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}

export function bindUnix(fd: number, path: string): void {
  const address = unixAddress(path);
  if (libc.bind(fd, pointer(addressOf(address)), address.byteLength) < 0) {
    throw new SystemError("bind", errno(), { path });
  }
}

const oneByte = new Uint8Array(new ArrayBuffer(1)).fill(1);
const oneByteAddress = pointer(addressOf(oneByte));

/**
 * Sends one byte without waiting. False: nobody heard it. No socket, its owner is gone or another user's; or its queue is full, which
 * means that it has been rung already. A sleeper that cannot be rung looks by itself now and then.
 */
export function sendByteTo(fd: number, address: Uint8Array): boolean {
  const to = pointer(addressOf(address));
  for (;;) {
    if (libc.sendto(fd, oneByteAddress, 1, MSG_DONTWAIT | MSG_NOSIGNAL, to, address.byteLength) === 1)
      return true;
    const error = errno();
    if (error === EBADF || error === EFAULT || error === ENOTSOCK) throw new SystemError("sendto", error);
    if (error !== EINTR) return false;
  }
}
