#include "board_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

std::string sharedMemoryDirectory() {
  const char* set = getenv("PHYSRING_SHM_DIR");
  return set && *set ? set : "/dev/shm";
}

namespace {

void requireName(const std::string& name) {
  static const char kAllowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (name.empty() || name.size() > 32 || name[0] == '.' || name.find_first_not_of(kAllowed) != std::string::npos)
    throw UsageError("'" + name + "' is no name of a board: 1 to 32 of A-Z a-z 0-9 . _ -, not starting with a dot");
}

/** Removes all files (a board's directory is flat) but the lock. */
void emptyDirectory(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  while (const dirent* entry = directory ? readdir(directory) : nullptr) {
    if (strcmp(entry->d_name, "lock") != 0) unlinkat(dirfd(directory), entry->d_name, 0);
  }
  if (directory) closedir(directory);
}

/** The lock, or false: a living board has it, or one that is just ending. */
bool lockWithin(int fd, int milliseconds) {
  for (;; milliseconds -= 10) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (milliseconds <= 0) return false;
    usleep(10000);
  }
}

}  // namespace

BoardDirectory::BoardDirectory(const std::string& name) {
  requireName(name);
  path_ = sharedMemoryDirectory() + "/physring-board." + name;
  const std::string lockPath = path_ + "/lock";
  // The lock says whether a board lives; its file goes with the directory, so look again at which file was locked.
  for (int attempt = 0;; attempt++) {
    if (mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) throw UsageError(systemError("cannot make " + path_));
    lock_ = ::open(lockPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_ < 0 && errno == ENOENT && attempt < 100) continue;
    if (lock_ < 0) throw UsageError(systemError("cannot open " + lockPath));
    if (!lockWithin(lock_, 1000)) throw UsageError("a board named " + name + " is running: stop it, or choose another name");
    struct stat ours = {}, there = {};
    if (fstat(lock_, &ours) == 0 && stat(lockPath.c_str(), &there) == 0 && ours.st_ino == there.st_ino) break;
    close(lock_);
    if (attempt == 100) throw UsageError("cannot lock " + lockPath + ": other boards come and go under this name");
  }
  emptyDirectory(path_);
  startGuardian();
  registers_ = Mapping::create(path_ + "/registers.new", PHYSRING_FPGA_REGISTER_BYTES);
  socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/** A process that outlives this one by a moment and removes the directory: also after SIGKILL. */
void BoardDirectory::startGuardian() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw UsageError(systemError("no pipe"));
  const pid_t child = fork();
  if (child < 0) throw UsageError(systemError("cannot fork"));
  if (child == 0) {
    setsid();
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
    close(ends[1]);
    // Whoever reads the board's output sees its end when the board ends.
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    char byte;
    while (::read(ends[0], &byte, 1) < 0 && errno == EINTR) {
    }
    // This process shares the lock's file description: the name stays taken until it ends. Whoever finds no lock file makes a new one, so that goes last.
    emptyDirectory(path_);
    unlink((path_ + "/lock").c_str());
    rmdir(path_.c_str());
    _exit(0);
  }
  close(ends[0]);
  guardian_ = ends[1];
  guardianProcess_ = child;
}

BoardDirectory::~BoardDirectory() {
  if (socket_ >= 0) close(socket_);
  close(guardian_);
  waitpid(guardianProcess_, nullptr, 0);
}

void BoardDirectory::write(const std::string& file, const std::string& text) const {
  const std::string path = path_ + "/" + file;
  FILE* f = fopen(path.c_str(), "w");
  if (!f || fwrite(text.data(), 1, text.size(), f) != text.size() || fclose(f) != 0) throw UsageError(systemError("cannot write " + path));
}

void BoardDirectory::publish() const {
  if (rename((path_ + "/registers.new").c_str(), (path_ + "/registers").c_str()) != 0) throw UsageError(systemError("cannot name the registers"));
}

bool BoardDirectory::interrupt(unsigned queue, uint32_t events) {
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  const std::string path = path_ + "/irq." + std::to_string(queue);
  if (path.size() >= sizeof to.sun_path) return false;
  memcpy(to.sun_path, path.c_str(), path.size() + 1);
  return sendto(socket_, &events, sizeof events, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), sizeof to) == sizeof events;
}
