/// How the bytes of a log lie in files: a directory of segments, or one growing file. What differs between the two, and nothing else;
/// identity, facts, slots, recovery and truncation are the same code above it.
protocol LogMedium: Sendable {
    /// Bytes of one window that is made, mapped and flushed as a whole.
    var windowSize: UInt64 { get }
    /// Which windows exist, ascending.
    func windows() throws(WALError) -> [UInt64]
    /// The foot that covers a window, checked against the log's identity. `.corruption` for a file that is not this window of this log.
    func foot(_ index: UInt64) throws(WALError) -> SegmentFoot
    /// Makes a window of zeros; its space is reserved and its directory entry durable.
    func make(_ index: UInt64, onRelease: @escaping @Sendable (UInt64) -> Void) throws(WALError) -> SegmentFile
    /// Opens the window that exists for further appending.
    func open(_ index: UInt64, onRelease: @escaping @Sendable (UInt64) -> Void) throws(WALError) -> SegmentFile
    func makeReader(head: @escaping @Sendable () -> LSN) -> any LogBytesReader
    /// Replaces what holds `end` by a fresh, synced copy that ends there, in two steps: this one may fail and changes nothing …
    func prepareCut(at end: LSN, firstFrame: LSN?) throws(WALError) -> PreparedCut
    /// … and this one takes the copy into use and removes everything after it, highest first, durably.
    func finish(_ cut: PreparedCut) throws(WALError)
    /// Removes the windows that lie wholly below `head`, ascending, durably.
    func removeWindows(below head: LSN) throws(WALError)
    /// Removes the windows from `index` on, highest first, durably.
    func removeWindows(from index: UInt64) throws(WALError)
    /// Removes what was left behind under a temporary name.
    func removeLeftovers() throws(WALError)
}

/// A copy that is ready to take the place of the last window.
struct PreparedCut: Sendable {
    let end: LSN
    /// Nil where the end is a window's boundary and nothing needs to be copied.
    let temporaryPath: String?
}
