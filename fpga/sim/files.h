// Files, mappings and descriptors of the board process; everything that fails says what to do about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

/** Ends the program with its message and exit status 2: the caller asked for what cannot be. */
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string systemError(const std::string& what);

/** A shared mapping of a whole file; unmapped with the object. */
class Mapping {
 public:
  Mapping() = default;
  /** Maps `bytes` of an existing file read/write. Throws UsageError: no such file, or shorter than `bytes`. bytes = 0: all of it. */
  static Mapping open(const std::string& path, uint64_t bytes);
  /** Makes a file of `bytes` zeros, mode 0600, and maps it. */
  static Mapping create(const std::string& path, uint64_t bytes);
  /** Private zeros. */
  static Mapping anonymous(uint64_t bytes);
  Mapping(Mapping&& o) noexcept { *this = static_cast<Mapping&&>(o); }
  Mapping& operator=(Mapping&& o) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  /** The file, as long as the mapping lives; −1: none. */
  int fd() const { return fd_; }
  uint32_t* words() const { return reinterpret_cast<uint32_t*>(data_); }
  /** Copies what the file has (holes stay holes) to `to`. */
  void copyTo(uint8_t* to) const;

 private:
  Mapping(int fd, uint8_t* data, uint64_t bytes) : fd_(fd), data_(data), bytes_(bytes) {}
  int fd_ = -1;
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Shared words: one writer each, so a load or store of 32 bits is all there is.
inline uint32_t loadAcquire(const uint32_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
inline void storeRelease(uint32_t* word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
