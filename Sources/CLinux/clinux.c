// _GNU_SOURCE stays out of the header: a Swift importer would otherwise see other declarations than Glibc's.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "walship needs 64-bit file offsets");

int walship_fallocate(int descriptor, uint64_t offset, uint64_t length) {
    return fallocate(descriptor, 0, (off_t)offset, (off_t)length) == 0 ? 0 : errno;
}

int walship_punch_hole(int descriptor, uint64_t offset, uint64_t length) {
    return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0 ? 0 : errno;
}

/// l_pid must be 0 for open-file-description locks (fcntl(2)).
static struct flock one_byte(short type, uint64_t byte) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1, .l_pid = 0};
}

int walship_lock_byte(int descriptor, uint64_t byte, bool exclusive) {
    struct flock lock = one_byte(exclusive ? F_WRLCK : F_RDLCK, byte);
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

int walship_unlock_byte(int descriptor, uint64_t byte) {
    struct flock lock = one_byte(F_UNLCK, byte);
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

int walship_unlock_all(int descriptor) {
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0};
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

int walship_probe_byte(int descriptor, uint64_t byte, bool *locked) {
    struct flock lock = one_byte(F_WRLCK, byte);
    if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) return errno;
    *locked = lock.l_type != F_UNLCK;
    return 0;
}

int walship_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout) {
    struct timespec limit = {.tv_sec = (time_t)(timeout / 1000000000), .tv_nsec = (long)(timeout % 1000000000)};
    return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &limit, NULL, 0) == 0 ? 0 : errno;
}

void walship_futex_wake(const uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

int walship_shared_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout) {
    struct timespec limit = {.tv_sec = (time_t)(timeout / 1000000000), .tv_nsec = (long)(timeout % 1000000000)};
    return syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, NULL, 0) == 0 ? 0 : errno;
}

void walship_shared_futex_wake(const uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0); }

int walship_register_barrier(void) {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : errno;
}

int walship_barrier(void) { return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : errno; }

_Thread_local int32_t walship_thread_number_plus_one __attribute__((tls_model("initial-exec")));

/// A bit for each number that a thread has.
static _Atomic uint64_t numbers_taken;
static pthread_key_t number_key;
static bool number_key_exists;
static pthread_once_t number_key_once = PTHREAD_ONCE_INIT;

_Static_assert(WALSHIP_THREAD_NUMBERS == 64, "one bit a number in numbers_taken");

/// Runs as the thread ends. Should a later destructor need a number again, it takes one, and this runs once more.
static void give_number_back(void *value) {
    walship_thread_number_plus_one = 0;
    // Release: whoever has the number next sees what this thread did under it.
    atomic_fetch_and_explicit(&numbers_taken, ~(1ull << ((uintptr_t)value - 1)), memory_order_release);
}

static void make_number_key(void) { number_key_exists = pthread_key_create(&number_key, give_number_back) == 0; }

int32_t walship_take_thread_number(void) {
    pthread_once(&number_key_once, make_number_key);
    if (!number_key_exists) return -1;
    uint64_t taken = atomic_load_explicit(&numbers_taken, memory_order_relaxed);
    int number;
    do {
        if (~taken == 0) return -1;
        number = __builtin_ctzll(~taken);
    } while (!atomic_compare_exchange_weak_explicit(
        &numbers_taken, &taken, taken | 1ull << number, memory_order_acq_rel, memory_order_relaxed));
    if (pthread_setspecific(number_key, (void *)(uintptr_t)(number + 1)) != 0) {
        atomic_fetch_and_explicit(&numbers_taken, ~(1ull << number), memory_order_release);
        return -1;
    }
    walship_thread_number_plus_one = number + 1;
    return number;
}

void walship_set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/// Written before a handler is installed, only read afterwards.
static volatile int stop_descriptor = -1;

static void note_stop(int signal_number) {
    (void)signal_number;
    int saved = errno;
    uint64_t one = 1;
    // Its result says nothing that a handler could act on: the counter is either readable now or was before.
    if (write(stop_descriptor, &one, sizeof one) < 0) errno = saved;
}

int walship_catch_stop_signals(int *descriptor) {
    stop_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_descriptor < 0) return errno;
    *descriptor = stop_descriptor;
    int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        struct sigaction old, action = {.sa_handler = note_stop, .sa_flags = SA_RESTART | SA_RESETHAND};
        sigemptyset(&action.sa_mask);
        if (sigaction(signals[i], NULL, &old) != 0) return errno;
        if (old.sa_handler != SIG_IGN && sigaction(signals[i], &action, NULL) != 0) return errno;
    }
    return 0;
}

int walship_widen_pipe(int descriptor, int size) { return fcntl(descriptor, F_SETPIPE_SZ, size) < 0 ? errno : 0; }

long walship_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    if (limit.rlim_cur != limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    }
    return limit.rlim_cur > (rlim_t)LONG_MAX ? LONG_MAX : (long)limit.rlim_cur;
}

bool walship_map_large_blocks(int bytes) { return mallopt(M_MMAP_THRESHOLD, bytes) == 1; }
