import Glibc

/// A replica that grows: bytes of an archive are applied behind its end, and readers beside it, in any process, see them as soon as they are durable.
///
/// Holds the writer's lock from `open` to `close`. Whatever interrupts it, it is the replica that it was, up to a boundary between batches at or above
/// what readers were shown and never past what was applied; opened again, it goes on. After a failed write or flush nothing more is taken: open it
/// again. Not for two threads at once.
public final class ReplicaLog {
    public let logID: LogID
    /// Bytes of log in a segment.
    public let segmentSize: Int
    /// The first record.
    public var headLSN: LSN { tail.head }
    /// Where the replica ends: everything below is durable and readable.
    public var endLSN: LSN { tail.end }
    /// Where the next bytes are applied: at or past the end, where a record or batch has come in part.
    public var position: LSN { tail.position }
    /// The history of writers up to the end.
    public var epochs: EpochTable { tail.epochs }

    private let tail: ReplicaTail
    private var nextCell: UInt64
    private var times: TimeIndexWriter
    /// Notes of times past the end.
    private var timesAhead: [CommitTime] = []
    private var failure: WALError?
    private var isClosed = false

    /// Opens the replica in `directory` for applying. A copied directory becomes a replica of its own, after all of it was read and synced.
    ///
    /// Throws `.locked` while another has it, `.parameterMismatch` for a log that is no replica, and what opening a log throws; then all is as before.
    public static func open(directory: String) throws(WALError) -> ReplicaLog {
        try open(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package static func open(directory: String, fileSystem: any FileSystem, time: any TimeSource) throws(WALError) -> ReplicaLog {
        try HeldLog.hold(directory: directory, fileSystem: fileSystem, time: time) { held throws(WALError) in try ReplicaLog(held) }
    }

    private init(_ held: HeldLog) throws(WALError) {
        let found = held.found
        guard found.isCopied || found.facts.isReplica else {
            throw .parameterMismatch(parameter: "replica", stored: "a log that is written, or was promoted", requested: "a replica")
        }
        let boot = try held.fileSystem.bootID()
        let incarnation = Incarnation.random()
        let recovered = try held.recover(.toGrow, boot: boot, incarnation: incarnation)
        let tail = ReplicaTail(held, head: recovered.facts.head, end: recovered.end, epochs: found.epochs)
        if found.isCopied {
            try tail.cut()
            var facts = recovered.facts
            facts.isReplica = true
            _ = try tail.own(facts)
        }
        try held.dropVoidSlots(above: recovered.end)
        logID = held.control.identity.logID
        segmentSize = Int(held.control.identity.segmentSize)
        nextCell = recovered.nextCellSequence
        times = TimeIndexWriter(paths: held.paths, fileSystem: held.fileSystem, control: held.control)
        self.tail = tail
        held.control.live.begin(incarnation: incarnation, boot: boot, durable: recovered.end, head: recovered.facts.head, writer: getpid())
        held.control.live.wakeWaiters()
    }

    /// The replica's raw bytes of a range between its head and its end.
    public func bytes(_ range: Range<LSN>) throws(WALError) -> [UInt8] { try tail.bytes(range) }

    /// Writes archived bytes at the position. Nobody sees them, and they are not durable, before `takeIn`.
    /// Throws `.noSpace` and `.io`; then the replica takes nothing more until it is opened again.
    public func apply(_ bytes: [UInt8], at lsn: LSN) throws(WALError) {
        try guarded { () throws(WALError) in try tail.apply(bytes, at: lsn) }
    }

    /// Makes what was applied a part of the replica as far as it is whole records and batches: synced, every frame verified, noted in the feet, and only
    /// then shown to readers, who are woken. `inherited` are the epochs after the current one that the archive tells of, each with its start; those
    /// that begin past the applied bytes do not count yet. `times`, ascending by LSN, say when the writer had made how much durable.
    ///
    /// Throws `.corruption` for a frame that does not verify, `.noSpace` and `.io`: then readers see what they saw, and the replica takes nothing more
    /// until it is opened again.
    /// - Returns: the new end.
    @discardableResult
    public func takeIn(_ inherited: [Epoch], times noted: [CommitTime] = []) throws(WALError) -> LSN {
        try guarded { () throws(WALError) in
            let before = tail.end
            let begun = try tail.takeIn(inherited)
            try writeFacts(hasBegun: !begun.isEmpty)
            timesAhead += noted.filter { $0.lsn > before }
            guard tail.end > before else { return tail.end }
            try tail.writeCell(sequence: nextCell)
            nextCell += 1
            let now = timesAhead.prefix { $0.lsn <= tail.end }
            for time in now { times.note(time.lsn, now: time.nanoseconds, windowSize: UInt64(segmentSize)) }
            timesAhead.removeFirst(now.count)
            let live = tail.held.control.live
            live.written = tail.end
            live.durable = tail.end
            live.wakeWaiters()
            return tail.end
        }
    }

    /// Epochs and sizes are in the facts before anything rests on them: cells name the epoch, readers refuse what is longer.
    private func writeFacts(hasBegun: Bool) throws(WALError) {
        let held = tail.held
        let maxRecordSize = try held.control.requireFacts().maxRecordSize
        guard hasBegun || tail.longest > maxRecordSize else { return }
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            var facts = try held.control.requireFacts()
            facts.floor = max(facts.floor, tail.end)
            facts.maxRecordSize = max(facts.maxRecordSize, tail.longest)
            _ = try held.control.writeFacts(facts, epochs: tail.epochs)
        }
    }

    /// Lets go of the beginning, as the writer of a log does: the head becomes the greatest boundary between records and batches at or below `lsn` and every pin, durably; then
    /// segments below it are removed. Readers that stand there are told that their position is lost. On an error nothing but space was lost: what is to
    /// go goes the next time.
    /// - Returns: the head.
    @discardableResult
    public func truncateBefore(_ lsn: LSN) throws(WALError) -> LSN {
        precondition(!isClosed, "a replica is not used after it was closed")
        if let failure { throw failure }
        let held = tail.held
        let truncation = PrefixTruncation(
            time: held.time, control: held.control, medium: tail.medium, slots: SlotDirectory(paths: held.paths, fileSystem: held.fileSystem))
        let end = tail.end
        defer { tail.begins(at: max(tail.head, held.control.live.head)) }
        return try truncation.truncateBefore(lsn) { () throws(WALError) in end }
    }

    /// Drops what was applied past the end: it has come in part, and goes on otherwise than it began.
    public func dropUnfinished() throws(WALError) {
        guard tail.position > tail.end else { return }
        try guarded { () throws(WALError) in try tail.cut() }
        timesAhead = []
    }

    private func guarded<T>(_ body: () throws(WALError) -> T) throws(WALError) -> T {
        precondition(!isClosed, "a replica is not used after it was closed")
        if let failure { throw failure }
        do throws(WALError) {
            return try body()
        } catch {
            // What reached the disk is not known: only opening it again tells.
            failure = error
            throw error
        }
    }

    /// Lets go of the replica. All that readers were shown is durable, and the facts say so where nothing has failed. A second call does nothing.
    public func close() throws(WALError) {
        guard !isClosed else { return }
        isClosed = true
        let held = tail.held
        if held.control.live.writer == getpid() { held.control.live.writer = nil }
        held.control.live.wakeWaiters()
        defer { tail.close() }
        guard failure == nil else { return }
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            var facts = try held.control.requireFacts()
            guard facts.floor < tail.end else { return }
            facts.floor = tail.end
            _ = try held.control.writeFacts(facts, epochs: tail.epochs)
        }
    }

    deinit { if !isClosed { tail.close() } }
}

extension HeldLog {
    /// A replica ships nothing: a destination's slot is one of the writer that it was, or is a copy of. So is a pin of what it has not got.
    fileprivate func dropVoidSlots(above end: LSN) throws(WALError) {
        let slots = SlotDirectory(paths: paths, fileSystem: fileSystem)
        let names = try slots.names()
        guard !names.isEmpty else { return }
        try control.underMaintenance(time) { () throws(WALError) in
            for name in names {
                // One that cannot be read holds what it holds; `slots drop` is for a person to say.
                guard let state = try slots.read(name, expecting: control.identity.logID).current else { continue }
                if state.kind == .destination || state.position > end { try slots.remove(name) }
            }
        }
    }
}
