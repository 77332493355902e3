import Glibc
import Synchronization

/// A shared mapping of the running kernel. Owns the address range from `init` to `unmap()`. `base` stays readable (and
/// writable, if it was mapped so) in between; touching it later, or past the end of the file, ends the process.
@safe final class LinuxMapping: Mapping, @unchecked Sendable {
    // Unchecked because of the pointer: it is constant, and who may touch which byte behind it is the caller's affair.
    let base: UnsafeMutableRawPointer
    let count: Int
    /// Bytes of the mapping before `base`: the kernel maps whole pages of its own size, which may be more than 4096.
    private let lead: Int
    private let mapped = Atomic(true)

    init(descriptor: Int32, path: String, offset: UInt64, length: Int, writable: Bool) throws(WALError) {
        precondition(offset % 4096 == 0, "\(path): mapping at \(offset), which is no multiple of 4096")
        precondition(length > 0, "\(path): mapping of \(length) bytes")
        precondition(offset <= UInt64(Int64.max) - UInt64(length), "\(path): mapping past 2⁶³")
        let lead = Int(offset % UInt64(getpagesize()))
        let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
        let start = off_t(offset) - off_t(lead)
        let address = unsafe mmap(nil, lead + length, protection, MAP_SHARED, descriptor, start)
        guard let address = unsafe address, unsafe address != MAP_FAILED else {
            throw SystemCall.error(errno, in: "mmap", on: path)
        }
        // A forked child that kept the mapping could write into the log after it was closed here.
        if unsafe madvise(address, lead + length, MADV_DONTFORK) != 0 {
            let code = errno
            unsafe munmap(address, lead + length)
            throw SystemCall.error(code, in: "madvise", on: path)
        }
        unsafe base = address + lead
        count = length
        self.lead = lead
    }

    deinit { unmap() }

    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE, which the overlay's headers may be too old for (include/uapi/asm-generic/mman-common.h).
    private static let populateRead: Int32 = 22
    private static let populateWrite: Int32 = 23

    func populate(_ range: Range<Int>, forWriting: Bool) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "populating \(range) of \(count) bytes")
        guard !range.isEmpty else { return }
        let page = Int(getpagesize())
        let first = (range.lowerBound + lead) / page * page
        // SAFETY: whole pages of the mapping, which the caller keeps mapped; the call changes no byte. Its result is not looked at: EINVAL before
        // 5.14, and after any other the pages are faulted in when they are touched, which is when an error would matter.
        unsafe madvise(base - lead + first, range.upperBound + lead - first, forWriting ? Self.populateWrite : Self.populateRead)
    }

    /// munmap(2). Fails only for ranges that are no mapping, which would be a mistake of this program.
    func unmap() {
        guard mapped.exchange(false, ordering: .relaxed) else { return }
        // SAFETY: the range is exactly the one that mmap returned, once.
        let result = unsafe munmap(base - lead, lead + count)
        precondition(result == 0, "munmap: \(ErrorText.describe(errno: errno))")
    }
}
