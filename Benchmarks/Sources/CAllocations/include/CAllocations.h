#ifndef WALSHIP_CALLOCATIONS_H
#define WALSHIP_CALLOCATIONS_H

// Counts heap allocations of this process.
//
// Why C: the functions of the C library are replaced by their names; Swift's own runtime allocates through them.

#include <stdint.h>

/// Begins (1) or ends (0) counting, for all threads. Not counting costs one load an allocation, so that the other measurements are not disturbed.
void allocations_count(int on);

/// Allocations (malloc, calloc, realloc, and the aligned ones) of the calling thread while they were counted.
uint64_t allocations_of_this_thread(void);

/// Allocations of all threads of the process while they were counted.
uint64_t allocations_of_all_threads(void);

/// 1 where allocations are counted: with glibc, whose own functions stay reachable as __libc_malloc and so on. 0 elsewhere.
int allocations_are_counted(void);

#endif
