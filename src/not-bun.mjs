throw new Error("physring needs Bun (https://bun.sh, or npm install bun): it calls the kernel through bun:ffi");
