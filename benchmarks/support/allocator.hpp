#pragma once

#ifdef __GLIBC__
#include <malloc.h>
#endif

/// Keeps freed memory in the process, for both sides of a comparison.
///
/// By default glibc returns the memory of every batch to the system and faults it in again, which
/// takes as long as the arithmetic of a small network and differs from run to run. The same as the
/// environment variables MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_.
inline void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}
