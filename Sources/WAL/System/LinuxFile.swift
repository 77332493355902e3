import CLinux
import Glibc
import Synchronization

/// One open file description of the running kernel. Owns its descriptor from `init` to `close()`; every call after that
/// traps, because the number may by then be another file's.
package final class LinuxFile: File {
    package let path: String
    /// The descriptor, or -1 once closed.
    private let descriptor: Atomic<Int32>
    /// Whether bytes of the file may be locked through this description.
    private let mayHoldLocks = Atomic(false)

    /// Zeros are written in pieces of this many bytes where fallocate is missing: large enough that the calls cost little.
    private static let zeroPiece = 256 << 10

    /// Bytes that are written with one call: the kernel takes page cache for as much at one time. From about 1 MiB on these are blocks that a virtual
    /// machine may have given back to its host while they were free: with 16 MiB a call, writing 1 GiB to new files took 2.3 s in place of 0.16.
    private static let writePiece = 256 << 10

    init(owning descriptor: Int32, path: String) {
        self.descriptor = Atomic(descriptor)
        self.path = path
    }

    deinit { close() }

    private var open: Int32 {
        let number = descriptor.load(ordering: .relaxed)
        precondition(number >= 0, "\(path) is used after it was closed")
        return number
    }

    /// fstat(2).
    package func status() throws(WALError) -> FileStatus {
        let descriptor = open
        var status = stat()
        try SystemCall.run("fstat", on: path) { unsafe fstat(descriptor, &status) }
        return FileStatus(status)
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(WALError) -> Int {
        let descriptor = open
        let start = fileOffset(offset, buffer.count)
        var done = 0
        while done < buffer.count {
            // SAFETY: a part of the caller's buffer, which lives through the call.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = try SystemCall.run("pread", on: path) {
                unsafe pread(descriptor, rest.baseAddress, rest.count, start + off_t(done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(WALError) {
        let descriptor = open
        let start = fileOffset(offset, bytes.count)
        var done = 0
        while done < bytes.count {
            // SAFETY: a part of the caller's buffer, which lives through the call.
            let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<min(done + LinuxFile.writePiece, bytes.count)])
            let count = try SystemCall.run("pwrite", on: path) {
                unsafe pwrite(descriptor, piece.baseAddress, piece.count, start + off_t(done))
            }
            // No file of ours does this; without the check it would be a loop without end.
            if count == 0 { throw .io(operation: "pwrite", path: path, errno: EIO) }
            done += count
        }
    }

    /// On an error the file may have grown; what it held is unchanged. Where the file system has no fallocate (NFS before
    /// 4.2, some FUSE): zeros are written from the file's end on, as space can be had there in no other way. What lies below
    /// the end is then taken as allocated: rewriting it could undo a write that another thread is just making.
    package func allocate(offset: UInt64, length: UInt64) throws(WALError) {
        let descriptor = open
        precondition(length > 0, "fallocate of nothing")
        precondition(length <= UInt64(Int64.max) - offset, "fallocate past 2⁶³")
        let code = try SystemCall.check("fallocate", on: path, allowing: [EOPNOTSUPP]) {
            walship_fallocate(descriptor, offset, length)
        }
        if code == EOPNOTSUPP { try writeZeros(upTo: offset + length) }
    }

    package func returnSpace(_ range: Range<UInt64>) throws(WALError) {
        let descriptor = open
        guard !range.isEmpty else { return }
        // Without holes (NFS before 4.2, some FUSE), the space stays.
        try SystemCall.check("fallocate", on: path, allowing: [EOPNOTSUPP]) {
            walship_punch_hole(descriptor, range.lowerBound, range.upperBound - range.lowerBound)
        }
    }

    /// Writes zeros from the file's end to `end`.
    package func writeZeros(upTo end: UInt64) throws(WALError) {
        var position = try status().size
        let zeros = [UInt8](repeating: 0, count: LinuxFile.zeroPiece)
        while position < end {
            let count = Int(min(UInt64(zeros.count), end - position))
            try write(count == zeros.count ? zeros : Array(zeros[..<count]), at: position)
            position += UInt64(count)
        }
    }

    package func truncate(to size: UInt64) throws(WALError) {
        let descriptor = open
        let size = fileOffset(size, 0)
        try SystemCall.run("ftruncate", on: path) { ftruncate(descriptor, size) }
    }

    package func sync() throws(WALError) {
        let descriptor = open
        try SystemCall.run("fdatasync", on: path) { fdatasync(descriptor) }
    }

    package func map(offset: UInt64, length: Int, writable: Bool) throws(WALError) -> any Mapping {
        try LinuxMapping(descriptor: open, path: path, offset: offset, length: length, writable: writable)
    }

    package func tryLock(byte: UInt64, _ kind: LockKind) throws(WALError) -> Bool {
        let descriptor = open
        // fcntl(2): EAGAIN or EACCES, both mean a conflicting lock.
        let code = try SystemCall.check("fcntl", on: path, allowing: [EAGAIN, EACCES]) {
            walship_lock_byte(descriptor, byte, kind == .exclusive)
        }
        if code == 0 { mayHoldLocks.store(true, ordering: .relaxed) }
        return code == 0
    }

    package func unlock(byte: UInt64) throws(WALError) {
        let descriptor = open
        try SystemCall.check("fcntl", on: path) { walship_unlock_byte(descriptor, byte) }
    }

    package func isLockedByOther(byte: UInt64) throws(WALError) -> Bool {
        let descriptor = open
        var locked = false
        try SystemCall.check("fcntl", on: path) { unsafe walship_probe_byte(descriptor, byte, &locked) }
        return locked
    }

    /// close(2). Its result is not looked at: Linux releases the descriptor whatever it says (close(2), "Dealing with error
    /// returns"), and whether bytes are on stable storage is what `sync` has said.
    ///
    /// Locks are given back first: a child of this process that was forked and has not got to its exec yet has the description too, and
    /// would hold them until then (fcntl(2), "Open file description locks").
    package func close() {
        let number = descriptor.exchange(-1, ordering: .relaxed)
        guard number >= 0 else { return }
        // Of no consequence where it fails: then they go with the description.
        if mayHoldLocks.load(ordering: .relaxed) { _ = walship_unlock_all(number) }
        _ = Glibc.close(number)
    }

    /// The kernel's offsets are signed.
    private func fileOffset(_ offset: UInt64, _ count: Int) -> off_t {
        precondition(offset <= UInt64(Int64.max) - UInt64(count), "\(path): offset \(offset) is past 2⁶³")
        return off_t(offset)
    }
}
