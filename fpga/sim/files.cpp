#include "files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

std::string systemError(const std::string& what) { return what + ": " + strerror(errno); }

static uint8_t* mapShared(int fd, const std::string& path, uint64_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) throw UsageError(systemError("cannot map " + path));
  return static_cast<uint8_t*>(at);
}

Mapping Mapping::open(const std::string& path, uint64_t bytes) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) throw UsageError(path + " does not exist: create the region (or the file) first, then start the board");
  if (fd < 0) throw UsageError(systemError("cannot open " + path));
  struct stat status = {};
  if (fstat(fd, &status) != 0) throw UsageError(systemError("cannot look at " + path));
  // Device nodes report no size; what they have is what the caller says.
  const uint64_t size = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : bytes;
  if (bytes == 0) bytes = size;
  if (bytes == 0) throw UsageError(path + " reports no size: say it, --memory " + path + ":BYTES");
  if (size < bytes) throw UsageError(path + " has " + std::to_string(size) + " bytes, not the " + std::to_string(bytes) + " asked for: name at most its size");
  return Mapping(fd, mapShared(fd, path, bytes), bytes);
}

Mapping Mapping::create(const std::string& path, uint64_t bytes) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw UsageError(systemError("cannot create " + path));
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) throw UsageError(systemError("cannot set the size of " + path));
  return Mapping(fd, mapShared(fd, path, bytes), bytes);
}

Mapping Mapping::anonymous(uint64_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw UsageError(systemError("no memory for a copy of " + std::to_string(bytes) + " bytes"));
  return Mapping(-1, static_cast<uint8_t*>(at), bytes);
}

Mapping& Mapping::operator=(Mapping&& o) noexcept {
  std::swap(fd_, o.fd_);
  std::swap(data_, o.data_);
  std::swap(bytes_, o.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_) munmap(data_, bytes_);
  if (fd_ >= 0) close(fd_);
}

void Mapping::copyTo(uint8_t* to) const {
  const off_t end = static_cast<off_t>(bytes_);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(fd_, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;  // the rest is a hole
    const off_t first = data < 0 ? at : data;
    off_t hole = data < 0 ? end : lseek(fd_, first, SEEK_HOLE);
    if (hole < 0 || hole > end) hole = end;
    memcpy(to + first, data_ + first, static_cast<size_t>(hole - first));
    at = hole;
  }
}
