import Synchronization

/// The slot of one destination, taken by this process: its durable position and what is in flight.
///
/// Owns the descriptor and an exclusive lock on it, so that two shippers never serve one slot. Any thread; updates are serialised, and throw `.stopped`
/// once it is closed.
public final class DestinationSlot: Sendable {
    public let name: String
    private let file: any File
    private struct Stored {
        var state: SlotState
        var giveUps: UInt64 = 0
        var isClosed = false
    }
    private let stored: Mutex<Stored>

    /// The state that is on disk.
    public var state: SlotState { stored.withLock { $0.state } }
    /// How often `giveUp` was called. Whoever has worked out a state from one that it read before a range was given up must not write it after.
    public var giveUps: UInt64 { stored.withLock { $0.giveUps } }

    init(name: String, files: ReaderFiles) throws(WALError) {
        self.name = name
        file = try files.fileSystem.open(files.paths.slot(name), .readWrite)
        do throws(WALError) {
            guard try file.tryLock(byte: 0, .exclusive) else {
                throw .locked(holder: "another process that serves the slot \(name)")
            }
            // Whoever had it before may have been killed before it was synced.
            try file.sync()
            let slot = SlotFile.decode(try file.bytes(at: 0, count: SlotFile.size), expecting: files.control.identity.logID)
            guard let state = slot.current else {
                throw .corruption(
                    lsn: .zero,
                    reason: "the slot \(name) cannot be read (\(slot.hold)); it holds all truncation until it is dropped")
            }
            guard state.kind == .destination else {
                throw .encoding(reason: "the slot \(name) is a pin, not a destination's")
            }
            stored = Mutex(Stored(state: state))
        } catch {
            file.close()
            throw error
        }
    }

    /// Writes the next state over the older half and syncs it: on stable storage on return. On an error the state on disk is the one before, or this one.
    /// The generation is set here. Works on a full disk.
    public func update(_ change: (inout SlotState) -> Void) throws(WALError) {
        try stored.withLock { stored throws(WALError) in try write(&stored, change) }
    }

    /// As `update`, but does nothing and returns false where something was given up since `giveUps` was read.
    public func update(since giveUps: UInt64, _ change: (inout SlotState) -> Void) throws(WALError) -> Bool {
        try stored.withLock { stored throws(WALError) in
            guard stored.giveUps == giveUps else { return false }
            try write(&stored, change)
            return true
        }
    }

    /// Gives up what is not archived below the LSN that `decide` returns for the state as it is, nil for nothing. On return both halves say so, on
    /// stable storage, so that it may be truncated away; nothing has been. Returns the gap as it is recorded now.
    ///
    /// On an error it may be recorded or not: the next one to take the slot finds which.
    public func giveUp(
        reason: String, time: UInt64, _ decide: (SlotState) -> LSN?
    ) throws(WALError) -> SlotGap? {
        try stored.withLock { stored throws(WALError) in
            guard let end = decide(stored.state) else { return nil }
            // Before the write: whoever worked on the old state must not go on, whatever becomes of it.
            stored.giveUps += 1
            try write(&stored) { $0.giveUp(to: end, reason: reason, time: time) }
            try write(&stored) { _ in }
            return stored.state.gaps.last
        }
    }

    /// Writes the state over both halves, so that truncation, which goes by the lower half, may use it all.
    public func settle() throws(WALError) {
        try stored.withLock { stored throws(WALError) in try write(&stored) { _ in } }
    }

    private func write(_ stored: inout Stored, _ change: (inout SlotState) -> Void) throws(WALError) {
        guard !stored.isClosed else { throw .stopped(cause: .closed) }
        var next = stored.state
        change(&next)
        precondition(next.kind == stored.state.kind, "a slot keeps its kind")
        precondition(next.logID == stored.state.logID, "a slot keeps its log")
        next.generation = stored.state.generation + 1
        try file.write(next.encode(), at: UInt64(SlotFile.offset(ofGeneration: next.generation)))
        try file.sync()
        stored.state = next
    }

    /// Gives the slot back, after a write that is under way. A second call does nothing.
    public func close() {
        stored.withLock { stored in
            stored.isClosed = true
            file.close()
        }
    }
}
