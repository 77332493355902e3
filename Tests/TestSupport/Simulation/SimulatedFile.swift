package import WAL
import Glibc
import Synchronization

/// One open file description on a simulated machine. Uses after `close()` trap, and so does what the kernel would answer
/// with EBADF.
package final class SimulatedFile: File {
    package let path: String
    let inode: UInt64
    private let machine: SimulatedFileSystem
    private let description: UInt64
    private let writable: Bool
    private let closed = Atomic(false)

    init(on machine: SimulatedFileSystem, path: String, inode: UInt64, description: UInt64, writable: Bool) {
        self.machine = machine
        self.path = path
        self.inode = inode
        self.description = description
        self.writable = writable
    }

    deinit { close() }

    package func status() throws(WALError) -> FileStatus {
        let size = try run(.fileStatus) { file, _, _ in file.size }
        return FileStatus(kind: .regular, size: UInt64(size), inode: inode)
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(WALError) -> Int {
        try run(.read) { file, cache, _ in
            // Past the longest file there is nothing to read.
            guard let offset = Int(exactly: offset) else { return 0 }
            return file.read(into: buffer, at: offset, cache)
        }
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(WALError) {
        precondition(writable, "pwrite on \(path), opened for reading")
        try run(.write) { file, cache, space throws(SimulatedErrno) in
            let offset = try SimulatedFile.range(offset, UInt64(bytes.count)).lowerBound
            try file.write(bytes, at: offset, cache, space: &space)
        }
    }

    package func allocate(offset: UInt64, length: UInt64) throws(WALError) {
        precondition(writable, "fallocate on \(path), opened for reading")
        precondition(length > 0, "fallocate of nothing")
        try run(.allocate) { file, cache, space throws(SimulatedErrno) in
            try file.allocate(try SimulatedFile.range(offset, length), cache, space: &space)
        }
    }

    /// The bytes become zeros, as on a file system that has holes; the space stays, as on one that has none.
    package func returnSpace(_ range: Range<UInt64>) throws(WALError) {
        let zeros = [UInt8](repeating: 0, count: Int(range.upperBound - range.lowerBound))
        let result = zeros.withUnsafeBytes { bytes in Result { () throws(WALError) in try write(bytes, at: range.lowerBound) } }
        try result.get()
    }

    package func truncate(to size: UInt64) throws(WALError) {
        precondition(writable, "ftruncate on \(path), opened for reading")
        try run(.truncate) { file, cache, space throws(SimulatedErrno) in
            let size = try SimulatedFile.range(size, 0).lowerBound
            // A real process would get SIGBUS when it touches what was cut off.
            precondition(size >= file.size || size >= file.mappedEnds.max() ?? 0, "\(self.path) is cut where it is mapped")
            try file.truncate(to: size, cache, space: &space)
        }
    }

    package func sync() throws(WALError) {
        try run(.sync) { file, cache, _ in file.sync(cache) }
    }

    package func map(offset: UInt64, length: Int, writable: Bool) throws(WALError) -> any Mapping {
        precondition(offset % UInt64(SimulatedFileNode.pageSize) == 0, "mapping at \(offset), no multiple of 4096")
        precondition(length > 0, "mapping of \(length) bytes")
        let address = try run(.map) { file, cache, _ throws(SimulatedErrno) in
            if writable, !self.writable { throw SimulatedErrno(EACCES) }
            let range = try SimulatedFile.range(offset, UInt64(length))
            // The kernel would allow it, and send SIGBUS when a page past the end is touched.
            let page = SimulatedFileNode.pageSize
            precondition(range.upperBound <= (file.size + page - 1) / page * page, "\(self.path) is mapped past its end")
            file.mappings += 1
            file.mappedEnds.append(range.upperBound)
            return UInt(bitPattern: cache.map(file.region, offset: range.lowerBound, length: length, writable: writable))
        }
        machine.countMapping()
        return SimulatedMapping(
            on: machine, inode: inode, end: Int(offset) + length, base: UnsafeMutableRawPointer(bitPattern: address)!, count: length)
    }

    package func tryLock(byte: UInt64, _ kind: LockKind) throws(WALError) -> Bool {
        precondition(kind == .shared || writable, "exclusive lock on \(path), opened for reading")
        return try run(.lock) { file, _, _ in
            let conflict = file.locks[byte, default: [:]].contains { holder, held in
                holder != self.description && (kind == .exclusive || held == .exclusive)
            }
            if !conflict { file.locks[byte, default: [:]][self.description] = kind }
            return !conflict
        }
    }

    package func unlock(byte: UInt64) throws(WALError) {
        try run(.unlock) { file, _, _ in file.locks[byte]?[self.description] = nil }
    }

    package func isLockedByOther(byte: UInt64) throws(WALError) -> Bool {
        try run(.probe) { file, _, _ in file.locks[byte, default: [:]].keys.contains { $0 != self.description } }
    }

    package func close() {
        if closed.exchange(true, ordering: .relaxed) { return }
        machine.letGo(ofDescription: description, inode)
    }

    private func run<Result: Sendable>(
        _ call: SimulatedCall,
        _ body: (inout SimulatedFileNode, SimulatedPageCache, inout Int?) throws(SimulatedErrno) -> Result
    ) throws(WALError) -> Result {
        precondition(!closed.load(ordering: .relaxed), "\(path) is used after it was closed")
        return try machine.call(call, on: self, body)
    }

    /// The range as `Int`s, or EFBIG: no simulated file is that long.
    private static func range(_ offset: UInt64, _ length: UInt64) throws(SimulatedErrno) -> Range<Int> {
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow, let lower = Int(exactly: offset), let upper = Int(exactly: end) else {
            throw SimulatedErrno(EFBIG)
        }
        return lower..<upper
    }
}

/// A mapping of a simulated file: memory at an address of its own, shared with every other view of the file's volatile
/// bytes. Touching it after `unmap()` ends the process, as it would in reality.
package final class SimulatedMapping: Mapping, @unchecked Sendable {
    // Unchecked because of the pointer: it is constant, and who may touch which byte behind it is the caller's affair.
    package let base: UnsafeMutableRawPointer
    package let count: Int
    private let machine: SimulatedFileSystem
    private let inode: UInt64
    private let end: Int
    private let mapped = Atomic(true)

    init(on machine: SimulatedFileSystem, inode: UInt64, end: Int, base: UnsafeMutableRawPointer, count: Int) {
        self.machine = machine
        self.inode = inode
        self.end = end
        self.base = base
        self.count = count
    }

    deinit { unmap() }

    /// Its pages are in memory already.
    package func populate(_ range: Range<Int>, forWriting: Bool) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "populating \(range) of \(count) bytes")
        precondition(mapped.load(ordering: .relaxed), "populating what is not mapped")
    }

    package func unmap() {
        guard mapped.exchange(false, ordering: .relaxed) else { return }
        let result = munmap(base, count)
        precondition(result == 0, "munmap failed, errno \(errno)")
        machine.letGo(ofMapping: inode, endingAt: end)
    }
}
