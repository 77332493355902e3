import Glibc
import Synchronization

/// The memory behind the volatile bytes of every simulated file: one anonymous memory file, cut into regions of equal size,
/// one for each file.
///
/// Why not plain buffers: a mapping of it has an address of its own, so touching it after `unmap` ends the test as it would
/// end the program; the kernel copies, so `sync` beside a thread that writes through a mapping is no data race in this
/// process (as it is none in reality); and a region grows without moving. Safe from any thread.
final class SimulatedPageCache: Sendable {
    /// The longest a file can be, in bytes.
    let regionSize: Int
    private let descriptor: Int32
    private let regions = Mutex(Regions())

    private struct Regions {
        var count = 0
        /// Regions that no file has any more, with how many of their bytes were used.
        var free: [(region: Int, used: Int)] = []
    }

    init(regionSize: Int) {
        precondition(regionSize > 0)
        precondition(regionSize % 65536 == 0, "a region is a multiple of every page size")
        self.regionSize = regionSize
        descriptor = SimulatedPageCache.makeMemoryFile()
    }

    deinit { Glibc.close(descriptor) }

    /// A region of zeros.
    func take() -> Int {
        let (region, used) = regions.withLock { regions in
            if let last = regions.free.popLast() { return (last.region, last.used) }
            regions.count += 1
            // Sparse: memory is taken by what is written.
            check(ftruncate(descriptor, off_t(regions.count) * off_t(regionSize)) == 0, "ftruncate")
            return (regions.count - 1, 0)
        }
        zero(region, 0..<used)
        return region
    }

    /// Gives back a region of which the first `used` bytes may not be zero.
    func release(_ region: Int, used: Int) {
        regions.withLock { $0.free.append((region, used)) }
    }

    func read(_ region: Int, _ range: Range<Int>) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        bytes.withUnsafeMutableBytes { read(region, at: range.lowerBound, into: $0) }
        return bytes
    }

    func read(_ region: Int, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = pread(descriptor, rest.baseAddress, rest.count, position(region, offset + done))
            check(count > 0, "pread")
            done += count
        }
    }

    func write(_ region: Int, at offset: Int, _ bytes: UnsafeRawBufferPointer) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = pwrite(descriptor, rest.baseAddress, rest.count, position(region, offset + done))
            check(count > 0, "pwrite")
            done += count
        }
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
        let address = mmap(nil, length, protection, MAP_SHARED, descriptor, position(region, offset))
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
