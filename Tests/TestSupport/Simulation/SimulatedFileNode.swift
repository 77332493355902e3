import Glibc
import WAL

/// What the simulated machine knows of one regular file: its bytes on disk, and beside them the page cache's (`region`).
///
/// A value, except for the bytes of its region. Which pages are dirty is not recorded but found by comparing, because writes
/// through mappings come unannounced.
struct SimulatedFileNode {
    static let pageSize = 4096
    static let sectorSize = 512

    let region: Int
    /// The file's length as every process sees it.
    private(set) var size = 0
    /// The bytes on stable storage; their count is the length on stable storage.
    private(set) var synced: [UInt8] = []
    /// Pages that a failed sync has marked clean although storage never got them, with the bytes they had then. The kernel
    /// writes such a page back only if it is changed again; the next sync says Ok.
    private(set) var lost: [Int: [UInt8]] = [:]
    /// Pages that have space on the disk.
    private(set) var allocated: Set<Int> = []
    /// The most bytes of the region that were ever in use.
    private(set) var extent = 0

    /// Open file descriptions and mappings that hold this file.
    var descriptions = 0
    var mappings = 0
    /// Where the mappings end.
    var mappedEnds: [Int] = []
    /// byte → description → kind.
    var locks: [UInt64: [UInt64: LockKind]] = [:]

    init(region: Int) { self.region = region }

    /// A file as another machine had it; the first `size` bytes of the region are its volatile ones.
    init(region: Int, synced: [UInt8], size: Int, lost: [Int: [UInt8]], allocated: Set<Int>) {
        self.region = region
        self.synced = synced
        self.size = size
        self.lost = lost
        self.allocated = allocated
        extent = size
    }

    var isHeld: Bool { descriptions > 0 || mappings > 0 }

    // MARK: What processes do

    /// Writes what there is space for; ENOSPC when that is not all of it.
    mutating func write(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, _ cache: SimulatedPageCache, space: inout Int?
    ) throws(SimulatedErrno) {
        guard !bytes.isEmpty else { return }
        guard offset + bytes.count <= cache.regionSize else { throw SimulatedErrno(EFBIG) }
        let end = reserve(offset..<offset + bytes.count, space: &space)
        if end > offset {
            grow(to: end, cache)
            cache.write(region, at: offset, UnsafeRawBufferPointer(rebasing: bytes[..<(end - offset)]))
            // Written pages are dirty again even when their bytes are the same.
            for page in offset / Self.pageSize...(end - 1) / Self.pageSize { lost[page] = nil }
        }
        if end < offset + bytes.count { throw SimulatedErrno(ENOSPC) }
    }

    /// Reserves what there is space for, growing the file as far (as ext4 does); ENOSPC when that is not all of it.
    mutating func allocate(
        _ range: Range<Int>, _ cache: SimulatedPageCache, space: inout Int?
    ) throws(SimulatedErrno) {
        guard range.upperBound <= cache.regionSize else { throw SimulatedErrno(EFBIG) }
        let end = reserve(range, space: &space)
        grow(to: end, cache)
        if end < range.upperBound { throw SimulatedErrno(ENOSPC) }
    }

    mutating func truncate(to newSize: Int, _ cache: SimulatedPageCache, space: inout Int?) throws(SimulatedErrno) {
        guard newSize <= cache.regionSize else { throw SimulatedErrno(EFBIG) }
        grow(to: newSize, cache)
        guard newSize < size else { return }
        cache.zero(region, newSize..<size)
        size = newSize
        let firstGone = (newSize + Self.pageSize - 1) / Self.pageSize
        let gone = allocated.filter { $0 >= firstGone }
        allocated.subtract(gone)
        lost = lost.filter { $0.key < firstGone }
        if let free = space { space = free + gone.count * Self.pageSize }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int, _ cache: SimulatedPageCache) -> Int {
        let count = max(0, min(buffer.count, size - offset))
        cache.read(region, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
        return count
    }

    // MARK: What the kernel does

    /// A flush that works: every dirty page and the size reach storage. Pages lost before stay lost.
    mutating func sync(_ cache: SimulatedPageCache) {
        var bytes = cache.read(region, 0..<size)
        let notWritten = cleanLostPages(bytes)
        for page in notWritten {
            let range = Self.range(of: page, below: size)
            bytes.replaceSubrange(range, with: Self.slice(synced, range))
        }
        lost = lost.filter { notWritten.contains($0.key) }
        synced = bytes
    }

    /// A flush that fails: every dirty page is marked clean, and storage has none of them (since Linux 4.13; see
    /// "PostgreSQL's fsync() surprise", LWN 2018). The size is not on storage either, but a later sync takes it there.
    mutating func failSync(_ cache: SimulatedPageCache) {
        let bytes = cache.read(region, 0..<size)
        for page in dirtyPages(bytes) { lost[page] = Array(bytes[Self.range(of: page, below: size)]) }
    }

    /// The kernel drops clean pages: what a failed flush lost is now seen by readers too.
    mutating func evict(_ cache: SimulatedPageCache) {
        for page in cleanLostPages(cache.read(region, 0..<size)) {
            let range = Self.range(of: page, below: size)
            cache.write(region, at: range.lowerBound, Self.slice(synced, range))
            lost[page] = nil
        }
    }

    /// Changes a byte on disk and in memory, as if it had always been so.
    mutating func damage(at offset: Int, xor mask: UInt8, _ cache: SimulatedPageCache) {
        precondition(offset < size, "damage past the end")
        cache.write(region, at: offset, [cache.read(region, offset..<offset + 1)[0] ^ mask])
        if offset < synced.count { synced[offset] ^= mask }
    }

    /// The bytes that storage holds after power failed: each dirty page kept, dropped or torn.
    func afterCrash(path: String, _ cache: SimulatedPageCache, _ chooser: inout some CrashChooser) -> [UInt8] {
        let bytes = cache.read(region, 0..<size)
        var kept = size
        if size != synced.count {
            kept = chooser.size(of: path, synced: synced.count, volatile: size)
            precondition(kept >= min(size, synced.count), "a crash invents no size")
            precondition(kept <= max(size, synced.count), "a crash invents no size")
        }
        var result = Self.slice(synced, 0..<kept)
        for page in dirtyPages(bytes) where page * Self.pageSize < kept {
            let fate = chooser.fate(ofPage: page, in: path)
            for sector in 0..<Self.pageSize / Self.sectorSize where fate.keeps(sector: sector) {
                let start = page * Self.pageSize + sector * Self.sectorSize
                let end = min(start + Self.sectorSize, kept, size)
                if start < end { result.replaceSubrange(start..<end, with: bytes[start..<end]) }
            }
        }
        return result
    }

    // MARK: Pages

    /// Pages of `bytes` (the volatile ones) that a flush would write.
    private func dirtyPages(_ bytes: [UInt8]) -> [Int] {
        (0..<(bytes.count + Self.pageSize - 1) / Self.pageSize).filter { page in
            let range = Self.range(of: page, below: bytes.count)
            if let clean = lost[page] { return !Self.same(bytes, range, clean, at: 0) }
            return !Self.same(bytes, range, synced, at: range.lowerBound)
        }
    }

    /// Lost pages that nobody has changed since.
    private func cleanLostPages(_ bytes: [UInt8]) -> Set<Int> {
        Set(lost.keys.filter { page in Self.same(bytes, Self.range(of: page, below: bytes.count), lost[page]!, at: 0) })
    }

    private static let zeros = [UInt8](repeating: 0, count: pageSize)

    /// Whether at most a page of `bytes` equals the bytes of `other` from `offset` on, with zeros where those end.
    /// memcmp, because a loop in a debug build takes seconds over a segment.
    private static func same(_ bytes: [UInt8], _ range: Range<Int>, _ other: [UInt8], at offset: Int) -> Bool {
        let common = max(0, min(range.count, other.count - offset))
        return bytes.withUnsafeBytes { bytes in
            let mine = UnsafeRawBufferPointer(rebasing: bytes[range])
            let equal = other.withUnsafeBytes { other in
                common == 0 || memcmp(mine.baseAddress!, other.baseAddress! + offset, common) == 0
            }
            guard equal, common < mine.count else { return equal }
            return zeros.withUnsafeBytes { memcmp(mine.baseAddress! + common, $0.baseAddress!, mine.count - common) == 0 }
        }
    }

    private static func range(of page: Int, below size: Int) -> Range<Int> {
        let start = min(page * pageSize, size)
        return start..<min(start + pageSize, size)
    }

    /// A part of `bytes`, with zeros where it goes past their end.
    private static func slice(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8] {
        let present = bytes[min(range.lowerBound, bytes.count)..<min(range.upperBound, bytes.count)]
        return present + [UInt8](repeating: 0, count: range.count - present.count)
    }

    /// Takes space for `range`, page by page; returns where it ran out, or the range's end.
    private mutating func reserve(_ range: Range<Int>, space: inout Int?) -> Int {
        guard !range.isEmpty else { return range.upperBound }
        for page in range.lowerBound / Self.pageSize...(range.upperBound - 1) / Self.pageSize {
            if allocated.contains(page) { continue }
            if let free = space {
                guard free >= Self.pageSize else { return max(range.lowerBound, page * Self.pageSize) }
                space = free - Self.pageSize
            }
            allocated.insert(page)
        }
        return range.upperBound
    }

    private mutating func grow(to newSize: Int, _ cache: SimulatedPageCache) {
        guard newSize > size else { return }
        // A mapping may have written past the end of the file into its last page: such bytes never become part of it.
        let tail = min(newSize, (size + Self.pageSize - 1) / Self.pageSize * Self.pageSize)
        cache.zero(region, size..<tail)
        size = newSize
        extent = max(extent, newSize)
    }
}

/// An errno on its way to the boundary, where it becomes a `WALError` with the call's name and path.
struct SimulatedErrno: Error {
    let code: Int32
    init(_ code: Int32) { self.code = code }
}
