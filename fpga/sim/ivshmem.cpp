#include "ivshmem.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "files.h"

namespace {
constexpr long long kProtocolVersion = 0, kGuestId = 0, kMemoryFollows = -1;
}

IvshmemServer::IvshmemServer(const std::string& path, int memory, unsigned vectors) : path_(path), memory_(memory) {
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  if (path.size() >= sizeof at.sun_path) throw UsageError("--ivshmem " + path + ": a socket's path has at most 107 bytes");
  memcpy(at.sun_path, path.c_str(), path.size() + 1);
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  unlink(path.c_str());
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(listener_, 1) != 0) throw UsageError(systemError("cannot listen at " + path));
  for (unsigned v = 0; v < vectors; v++) vectors_.push_back(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

IvshmemServer::~IvshmemServer() {
  for (int fd : vectors_) close(fd);
  if (guest_ >= 0) close(guest_);
  close(listener_);
  unlink(path_.c_str());
}

/** 8 bytes, little-endian, with a descriptor or without (−1). */
void IvshmemServer::send(long long message, int descriptor) const {
  iovec bytes = {&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
  }
  (void)!sendmsg(guest_, &header, MSG_NOSIGNAL);  // a guest that has gone is not greeted
}

void IvshmemServer::poll() {
  const int guest = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (guest < 0) return;
  if (guest_ >= 0) close(guest_);
  guest_ = guest;
  send(kProtocolVersion, -1);
  send(kGuestId, -1);
  send(kMemoryFollows, memory_);
  for (int fd : vectors_) send(kGuestId, fd);
}

void IvshmemServer::interrupt(unsigned vector) const {
  const uint64_t one = 1;
  if (vector < vectors_.size()) (void)!write(vectors_[vector], &one, sizeof one);
}
