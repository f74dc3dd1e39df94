// The board as a PCI device of a QEMU guest: serves the registers as shared memory of an ivshmem-doorbell device, and its interrupts as MSI-X
// vectors, vector q for queue q (QEMU docs/specs/ivshmem-spec, "ivshmem client-server protocol").
#pragma once

#include <string>
#include <vector>

class IvshmemServer {
 public:
  /** Listens at `path`. `memory` is the descriptor of BAR 2's bytes. Throws UsageError. */
  IvshmemServer(const std::string& path, int memory, unsigned vectors);
  ~IvshmemServer();
  IvshmemServer(const IvshmemServer&) = delete;

  /** Greets a guest that has connected; the last one counts. */
  void poll();
  /** Raises the vector in the guest. */
  void interrupt(unsigned vector) const;

 private:
  void send(long long message, int descriptor) const;

  const std::string path_;
  const int memory_;
  int listener_ = -1, guest_ = -1;
  std::vector<int> vectors_;  // eventfds that the guest listens to
};
