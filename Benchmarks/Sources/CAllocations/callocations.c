#include "CAllocations.h"
#include <errno.h>
#include <stdlib.h>

static __thread uint64_t of_this_thread __attribute__((tls_model("initial-exec")));
static uint64_t of_all_threads;
static int is_counting;

void allocations_count(int on) { __atomic_store_n(&is_counting, on, __ATOMIC_SEQ_CST); }
uint64_t allocations_of_this_thread(void) { return of_this_thread; }
uint64_t allocations_of_all_threads(void) { return __atomic_load_n(&of_all_threads, __ATOMIC_RELAXED); }

#if defined(__GLIBC__)
// glibc manual, "Replacing malloc": a program may define these; free stays glibc's own, as the memory is.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static inline void count(void) {
    if (!__atomic_load_n(&is_counting, __ATOMIC_RELAXED)) return;
    of_this_thread++;
    __atomic_fetch_add(&of_all_threads, 1, __ATOMIC_RELAXED);
}

int allocations_are_counted(void) { return 1; }

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    count();
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
    count();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **result, size_t alignment, size_t size) {
    // POSIX: a power of two and a multiple of the size of a pointer.
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
    void *memory = memalign(alignment, size);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}
#else
int allocations_are_counted(void) { return 0; }
#endif
