#ifndef WALSHIP_CLINUX_H
#define WALSHIP_CLINUX_H

// What Swift's Glibc overlay cannot reach on Linux. Everything else (open with O_CLOEXEC, mmap, madvise, fdatasync, …) is
// called from Swift directly. System calls return 0 or a positive errno, so that errno cannot change on the way to Swift.

#include <stdbool.h>
#include <stdint.h>

/// How many threads have a number at one time: one bit each in a word.
#define WALSHIP_THREAD_NUMBERS 64

/// The calling thread's number plus one; 0 while it has none.
extern _Thread_local int32_t walship_thread_number_plus_one __attribute__((tls_model("initial-exec")));

/// Gives the calling thread a number, which is given back when the thread ends (pthread_key_create(3)); -1 where none is left.
int32_t walship_take_thread_number(void);

/// 0 to WALSHIP_THREAD_NUMBERS - 1, for as long as the thread lives no other thread's; -1 where none is left. Two instructions:
/// pthread_self() is a call, and a thread-local variable of Swift a call with a lazy check.
static inline int32_t walship_thread_number(void) {
    int32_t number = walship_thread_number_plus_one;
    return __builtin_expect(number != 0, 1) ? number - 1 : walship_take_thread_number();
}

/// Tells the processor that this is a spin loop: Swift has no spelling for the instruction outside the standard library.
static inline void walship_cpu_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/// fallocate(2), mode 0: hidden from the overlay, which is compiled without _GNU_SOURCE.
int walship_fallocate(int descriptor, uint64_t offset, uint64_t length);

/// fallocate(2), FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE: as above. EOPNOTSUPP where the file system has no holes.
int walship_punch_hole(int descriptor, uint64_t offset, uint64_t length);

/// fcntl(2) F_OFD_SETLK on one byte: variadic with a pointer, and its constant needs _GNU_SOURCE. EAGAIN when another open
/// file description holds a conflicting lock.
int walship_lock_byte(int descriptor, uint64_t byte, bool exclusive);

/// fcntl(2) F_OFD_SETLK with F_UNLCK on one byte: as above.
int walship_unlock_byte(int descriptor, uint64_t byte);

/// fcntl(2) F_OFD_SETLK with F_UNLCK on all bytes, however many there are: as above.
int walship_unlock_all(int descriptor);

/// fcntl(2) F_OFD_GETLK on one byte, as if for an exclusive lock: as above. Sets `*locked` to whether another open file
/// description holds any lock there; takes none.
int walship_probe_byte(int descriptor, uint64_t byte, bool *_Nonnull locked);

/// futex(2) FUTEX_WAIT_PRIVATE: syscall(2) is variadic and has no wrapper in glibc. Waits while `*word == expected`, for at
/// most `timeout` nanoseconds. 0 when woken (perhaps without reason), EAGAIN when the word differed, ETIMEDOUT, EINTR.
int walship_futex_wait(const uint32_t *_Nonnull word, uint32_t expected, uint64_t timeout);

/// futex(2) FUTEX_WAKE_PRIVATE: as above. Wakes at most `count` threads of this process that wait on `word`.
void walship_futex_wake(const uint32_t *_Nonnull word, int count);

/// futex(2) FUTEX_WAIT without the private flag: as walship_futex_wait, for a word in memory that processes share, which may be
/// mapped for reading only.
int walship_shared_futex_wait(const uint32_t *_Nonnull word, uint32_t expected, uint64_t timeout);

/// futex(2) FUTEX_WAKE without the private flag: wakes everybody, in any process, who waits on `word`.
void walship_shared_futex_wake(const uint32_t *_Nonnull word);

/// membarrier(2) MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: no wrapper in glibc. Once per process, before the first barrier.
int walship_register_barrier(void);

/// membarrier(2) MEMBARRIER_CMD_PRIVATE_EXPEDITED: as above. EPERM before the registration.
int walship_barrier(void);

/// prctl(2) PR_SET_NAME: names the calling thread, at most 15 bytes; prctl is variadic.
void walship_set_thread_name(const char *_Nonnull name);

/// Makes the first SIGTERM and the first SIGINT readable at `*descriptor` (an eventfd(2)) instead of ending the process; the
/// second of the same kind ends it. A signal that is ignored stays ignored. Once per process. In C because a handler may run
/// only what signal-safety(7) lists, which nothing in Swift promises.
int walship_catch_stop_signals(int *_Nonnull descriptor);

/// fcntl(2) F_SETPIPE_SZ: the constant needs _GNU_SOURCE. EBADF when the descriptor is no pipe.
int walship_widen_pipe(int descriptor, int size);

/// getrlimit(2), setrlimit(2) RLIMIT_NOFILE: raises the soft limit to the hard one and returns what then holds, at most LONG_MAX; -1 and
/// errno on failure. In C because the constant's type differs between the headers that Swift may see.
long walship_raise_descriptor_limit(void);

/// mallopt(3) M_MMAP_THRESHOLD, as malloc.h is no part of the overlay. False where the allocator has no such setting.
bool walship_map_large_blocks(int bytes);

#endif
