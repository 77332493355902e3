import Glibc
import Synchronization

/// The memory behind the volatile bytes of every simulated file: one anonymous memory file, cut into regions of equal size,
/// one for each file. What a file had from the start stays a plain array until somebody writes to it or maps it: most machines that a crash leaves are
/// only compared with others, and making and clearing their memory took most of the time of the crash simulation.
///
/// Why not plain buffers: a mapping of it has an address of its own, so touching it after `unmap` ends the test as it would
/// end the program; the kernel copies, so `sync` beside a thread that writes through a mapping is no data race in this
/// process (as it is none in reality); and a region grows without moving. Safe from any thread.
final class SimulatedPageCache: Sendable {
    /// The longest a file can be, in bytes.
    let regionSize: Int
    private let regions = Mutex(Regions())

    private struct Regions {
        /// The memory file, once there is one.
        var descriptor: Int32 = -1
        var count = 0
        /// Regions that nobody has touched since they were made: their bytes, and zeros behind.
        var untouched: [Int: [UInt8]] = [:]
        /// Regions that no file has any more, with how many of their bytes were used.
        var free: [(region: Int, used: Int)] = []
    }

    init(regionSize: Int) {
        precondition(regionSize > 0)
        precondition(regionSize % 65536 == 0, "a region is a multiple of every page size")
        self.regionSize = regionSize
    }

    deinit {
        let descriptor = regions.withLock(\.descriptor)
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// A region that begins with `bytes`, and is zero behind them.
    func take(_ bytes: [UInt8] = []) -> Int {
        precondition(bytes.count <= regionSize, "a file is no longer than its region")
        return regions.withLock { regions in
            if bytes.isEmpty, let (region, used) = regions.free.popLast() {
                write(regions.descriptor, region, at: 0, [UInt8](repeating: 0, count: used))
                return region
            }
            regions.count += 1
            regions.untouched[regions.count - 1] = bytes
            return regions.count - 1
        }
    }

    /// Gives back a region of which the first `used` bytes may not be zero.
    func release(_ region: Int, used: Int) {
        regions.withLock { regions in
            if regions.untouched.removeValue(forKey: region) == nil { regions.free.append((region, used)) }
        }
    }

    /// The memory file, with what the region has in it.
    private func touch(_ region: Int) -> Int32 {
        regions.withLock { regions in
            if let bytes = regions.untouched.removeValue(forKey: region) {
                if regions.descriptor < 0 { regions.descriptor = SimulatedPageCache.makeMemoryFile() }
                // Sparse: memory is taken by what is written.
                check(ftruncate(regions.descriptor, off_t(regions.count) * off_t(regionSize)) == 0, "ftruncate")
                write(regions.descriptor, region, at: 0, bytes)
            }
            return regions.descriptor
        }
    }

    func read(_ region: Int, _ range: Range<Int>) -> [UInt8] {
        let untouched = regions.withLock { $0.untouched[region] }
        if let untouched, range == 0..<untouched.count { return untouched }
        var bytes = [UInt8](repeating: 0, count: range.count)
        bytes.withUnsafeMutableBytes { read(region, at: range.lowerBound, into: $0) }
        return bytes
    }

    func read(_ region: Int, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) {
        let (descriptor, untouched) = regions.withLock { ($0.descriptor, $0.untouched[region]) }
        if let untouched {
            let known = untouched[min(offset, untouched.count)..<min(offset + buffer.count, untouched.count)]
            known.withUnsafeBytes { buffer.copyMemory(from: $0) }
            UnsafeMutableRawBufferPointer(rebasing: buffer[known.count...]).initializeMemory(as: UInt8.self, repeating: 0)
            return
        }
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = pread(descriptor, rest.baseAddress, rest.count, position(region, offset + done))
            check(count > 0, "pread")
            done += count
        }
    }

    func write(_ region: Int, at offset: Int, _ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        write(touch(region), region, at: offset, bytes)
    }

    private func write(_ descriptor: Int32, _ region: Int, at offset: Int, _ bytes: UnsafeRawBufferPointer) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = pwrite(descriptor, rest.baseAddress, rest.count, position(region, offset + done))
            check(count > 0, "pwrite")
            done += count
        }
    }

    private func write(_ descriptor: Int32, _ region: Int, at offset: Int, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { write(descriptor, region, at: offset, $0) }
    }

    func write(_ region: Int, at offset: Int, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { write(region, at: offset, $0) }
    }

    func zero(_ region: Int, _ range: Range<Int>) {
        write(region, at: range.lowerBound, [UInt8](repeating: 0, count: range.count))
    }

    /// A shared mapping; whoever asks for it unmaps it.
    func map(_ region: Int, offset: Int, length: Int, writable: Bool) -> UnsafeMutableRawPointer {
        let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
        let address = mmap(nil, length, protection, MAP_SHARED, touch(region), position(region, offset))
        check(address != MAP_FAILED, "mmap")
        return address!
    }

    private func position(_ region: Int, _ offset: Int) -> off_t {
        precondition(offset >= 0)
        precondition(offset <= regionSize)
        return off_t(region) * off_t(regionSize) + off_t(offset)
    }

    /// memfd_create(2), which the Glibc overlay does not show.
    private static func makeMemoryFile() -> Int32 {
        typealias MemoryFileCreate = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
        guard let symbol = dlsym(nil, "memfd_create") else { preconditionFailure("no memfd_create in this libc") }
        let closeOnExec: UInt32 = 1
        let descriptor = unsafeBitCast(symbol, to: MemoryFileCreate.self)("simulated page cache", closeOnExec)
        precondition(descriptor >= 0, "memfd_create failed, errno \(errno)")
        return descriptor
    }

    /// A failure here is the test machine's, not the simulated one's.
    private func check(_ condition: Bool, _ call: String) {
        precondition(condition, "\(call) on the simulated page cache failed, errno \(errno)")
    }
}
