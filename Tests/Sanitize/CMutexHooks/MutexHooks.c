// What the thread sanitizer cannot see of Synchronization.Mutex, told to it. Linked into the sanitizers' test program only.
//
// Mutex locks and unlocks by a compare-and-swap that is inlined into its user and therefore instrumented. Where that fails, because threads meet, it calls
// _lockSlow, _tryLockSlow and _unlockSlow of libswiftSynchronization, which is not: there the lock is taken in the kernel (FUTEX_LOCK_PI) or by a
// compare-and-swap that the sanitizer does not see, and it reports whatever the lock guards. So these functions are defined here, as the program's symbols come before the
// library's, call the library's, and say what has happened. Acquire and release name the same address as the inlined compare-and-swap does, and the
// sanitizer keeps one clock for an address: exactly the ordering is added that the lock has, and no race elsewhere is hidden.
//
// The functions are part of the library's ABI, called by inlined code: names and conventions are stable (swift-lang, Synchronization/Mutex/LinuxImpl.swift).
// `make sanitize` runs a program with a contended Mutex that must not be reported, so a library that changed would be noticed.

#if __has_feature(thread_sanitizer)

#define _GNU_SOURCE
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK_SLOW "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

static SWIFT void (*library_lock)(uint32_t thread, SELF);
static SWIFT bool (*library_try_lock)(SELF);
static SWIFT void (*library_unlock)(SELF);

// Before main, on the one thread.
__attribute__((constructor)) static void find(void) {
    *(void **)&library_lock = dlsym(RTLD_NEXT, LOCK_SLOW);
    *(void **)&library_try_lock = dlsym(RTLD_NEXT, TRY_LOCK_SLOW);
    *(void **)&library_unlock = dlsym(RTLD_NEXT, UNLOCK_SLOW);
    if (!library_lock || !library_try_lock || !library_unlock) abort();
}

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(LOCK_SLOW);
SWIFT void lock_slow(uint32_t thread, SELF) {
    library_lock(thread, self);
    __tsan_acquire(self);
}

SWIFT bool try_lock_slow(SELF) __asm__(TRY_LOCK_SLOW);
SWIFT bool try_lock_slow(SELF) {
    bool locked = library_try_lock(self);
    if (locked) __tsan_acquire(self);
    return locked;
}

SWIFT void unlock_slow(SELF) __asm__(UNLOCK_SLOW);
SWIFT void unlock_slow(SELF) {
    __tsan_release(self);
    library_unlock(self);
}

#else

// With the address sanitizer there is nothing to say.
typedef int walship_no_hooks;

#endif
