/// What another process may do to a log beside its writer: keep slots, and truncate the prefix that every slot has passed.
///
/// Attached with a shared lock; the log's own bytes are only ever read. Any thread.
public final class LogSidecar: Sendable {
    /// The log, read-only.
    public let reader: LogReader
    private let files: ReaderFiles

    /// Attaches to the log in `directory`. Throws as `LogReader.open`.
    public static func attach(directory: String) throws(WALError) -> LogSidecar {
        try attach(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package static func attach(directory: String, fileSystem: any FileSystem, time: any TimeSource) throws(WALError) -> LogSidecar {
        LogSidecar(try ReaderFiles(paths: LogPaths(directory: directory), fileSystem: fileSystem, time: time, writable: true))
    }

    private init(_ files: ReaderFiles) {
        self.files = files
        reader = LogReader(files)
    }

    /// The names of all slots.
    public func slotNames() throws(WALError) -> [String] { try files.slots.names() }

    /// What a slot holds, without taking it: nil where there is none, or where it cannot be read (then it holds everything).
    public func slotState(_ name: String) throws(WALError) -> SlotState? {
        guard try files.slots.names().contains(name) else { return nil }
        return try files.slots.read(name, expecting: reader.logID).current
    }

    /// What holds truncation back now.
    public func hold() throws(WALError) -> SlotHold { try files.slots.hold(expecting: reader.logID) }

    /// Takes the slot of a destination, making it with `initial` where there is none. One process at a time has a slot: `.locked` otherwise.
    /// A slot whose halves are both damaged, or of a newer version, is `.corruption`: it holds all truncation until it is dropped by name.
    public func takeSlot(_ name: String, initial: () throws(WALError) -> SlotState) throws(WALError) -> DestinationSlot {
        try SlotName.requireUsable(name)
        return try underMaintenance { () throws(WALError) in
            if try !files.slots.names().contains(name) { try files.slots.create(name, try initial()) } else { try files.slots.settleNames() }
            return try DestinationSlot(name: name, files: files)
        }
    }

    /// Removes a slot, pins and those that cannot be read included, so that it no longer holds truncation. A missing one is no error. `.locked` while a
    /// process serves it: that one would go on moving a position that no longer holds anything.
    public func dropSlot(_ name: String) throws(WALError) {
        try SlotName.requireUsable(name)
        try underMaintenance { () throws(WALError) in
            guard try files.slots.names().contains(name) else { return }
            guard try !files.slots.isServed(name) else { throw .locked(holder: "the process that serves the slot \(name)") }
            try files.slots.remove(name)
        }
    }

    /// Removes the prefix below the greatest record and batch boundary at or below `lsn`, the durable LSN and every slot on disk. Returns the new
    /// head, durable. Safe beside the writer.
    @discardableResult
    public func truncateBefore(_ lsn: LSN) throws(WALError) -> LSN {
        try PrefixTruncation(
            time: files.time, control: files.control, medium: files.medium, slots: files.slots
        ).truncateBefore(lsn) { () throws(WALError) in try files.durableLSN() }
    }

    /// Has appends that need another segment wait: what is in the segments that the writer has goes on, and so do `sync`, `close` and readers. It ends
    /// with `unblockAppends`, with `detach` or with this process, whichever comes first; appends also wait for every other sidecar that does this.
    ///
    /// To be called again every now and then while it is to last: a sidecar that ends it at the same moment may take this one's flag away.
    public func blockAppends() throws(WALError) { try files.blockAppends() }

    /// Appends go on, unless another sidecar has them wait: at once, or within `LogLimits.blockedLookInterval` where they are waiting.
    public func unblockAppends() throws(WALError) { try files.unblockAppends() }

    private func underMaintenance<T>(_ body: () throws(WALError) -> T) throws(WALError) -> T {
        try files.control.underMaintenance(files.time) { () throws(WALError) in
            // Nobody has the end of the log cut off while the lock is held; from the detaching on somebody may have before.
            try files.requireOpen()
            return try body()
        }
    }

    /// Detaches: whatever changes slots or the log throws `.stopped` from then on, and appends are not blocked by this one. Slots that were taken are
    /// closed before.
    public func detach() { reader.close() }
}
