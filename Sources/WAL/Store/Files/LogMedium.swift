/// How the bytes of a log lie in files: a directory of segments, or one growing file. What differs between the two, and nothing else;
/// identity, facts, slots, recovery and truncation are the same code above it.
protocol LogMedium: Sendable {
    /// Bytes of one window that is made, mapped and flushed as a whole.
    var windowSize: UInt64 { get }
    /// Which windows exist, ascending.
    func windows() throws(WALError) -> [UInt64]
    /// The feet that cover these windows, checked against the log's identity. `.corruption` for a file that is not this window of this log.
    func feet(_ indices: [UInt64]) throws(WALError) -> [SegmentFoot]
    /// Makes a window of zeros; its space is reserved and its directory entry durable.
    func make(_ index: UInt64, _ filling: SegmentFilling, onRelease: @escaping @Sendable (UInt64) -> Void) throws(WALError) -> SegmentFile
    /// Opens the window that exists for further appending.
    func open(_ index: UInt64, onRelease: @escaping @Sendable (UInt64) -> Void) throws(WALError) -> SegmentFile
    func makeReader(head: @escaping @Sendable () -> LSN) -> any LogBytesReader
    /// Replaces every window that holds bytes from `start` on by a fresh, synced copy, the last one ending at `end`, in two steps: this one
    /// may fail and changes nothing … `firstFrames` says where the first frame of a window begins, where that is known.
    func prepareCut(from start: LSN, to end: LSN, firstFrames: [UInt64: LSN]) throws(WALError) -> PreparedCut
    /// … and this one takes the copy into use and removes everything after it, highest first, durably.
    func finish(_ cut: PreparedCut) throws(WALError)
    /// … or this one forgets the copy.
    func discard(_ cut: PreparedCut)
    /// Removes the windows that lie wholly below `head`, ascending, durably.
    func removeWindows(below head: LSN) throws(WALError)
    /// Removes the windows from `index` on, highest first, durably.
    func removeWindows(from index: UInt64) throws(WALError)
    /// Puts a cell whose foot is removed with the windows from `index` on into the last foot that stays, durably. All bytes of that window are.
    func keep(_ cell: SegmentFoot.DurableCell, below index: UInt64) throws(WALError)
    /// Removes what was left behind under a temporary name.
    func removeLeftovers() throws(WALError)
}

/// Copies that are ready to take the place of the last windows.
struct PreparedCut: Sendable {
    let end: LSN
    /// Windows of which there is a copy under a temporary name, ascending. None where nothing lies between the start and the end and that is
    /// a window's boundary.
    let windows: [UInt64]
}
