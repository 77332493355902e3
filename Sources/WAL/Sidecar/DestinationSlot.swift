import Synchronization

/// The slot of one destination, taken by this process: its durable position and what is in flight.
///
/// Owns the descriptor and an exclusive lock on it, so that two shippers never serve one slot. Any thread; updates are serialised.
public final class DestinationSlot: Sendable {
    public let name: String
    private let file: any File
    private let stored: Mutex<SlotState>

    /// The state that is on disk.
    public var state: SlotState { stored.withLock { $0 } }

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
            stored = Mutex(state)
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

    /// Writes the state over both halves, so that truncation, which goes by the lower half, may use it all.
    public func settle() throws(WALError) {
        try stored.withLock { stored throws(WALError) in try write(&stored) { _ in } }
    }

    private func write(_ stored: inout SlotState, _ change: (inout SlotState) -> Void) throws(WALError) {
        var next = stored
        change(&next)
        precondition(next.kind == stored.kind, "a slot keeps its kind")
        precondition(next.logID == stored.logID, "a slot keeps its log")
        next.generation = stored.generation + 1
        try file.write(next.encode(), at: UInt64(SlotFile.offset(ofGeneration: next.generation)))
        try file.sync()
        stored = next
    }

    public func close() { file.close() }
}
