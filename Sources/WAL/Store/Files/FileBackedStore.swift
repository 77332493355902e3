import Glibc
import Synchronization

/// What `SegmentedStore` and `FileStore` have in common: control file, locks, slots, recovery, notes of durability, truncation.
///
/// Owns the writer's lock from `open` to `close`. Any thread; see `LogStore` for who may call what when.
public class FileBackedStore: LogStore, @unchecked Sendable {
    // Sendable: every stored property is immutable or behind a mutex; the class is open to its two subclasses only, which add none.

    private struct Opened {
        let lock: any File
        let control: ControlFile
        let medium: any LogMedium
        var epochs: EpochTable
        let maxRecordSize: Int
        /// Of a replica, whose live page says nothing; nobody moves it.
        let replicaHead: LSN?

        var head: LSN { replicaHead ?? control.live.head }
    }

    /// What is kept about notes that were written lazily.
    private struct Notes {
        var cellSequence: UInt64
        var cellDurable: LSN
        /// What facts or a flushed cell say; a cell that was only written may be lost with the power.
        var flushedDurable: LSN
        var cellTime: UInt64
        var durable: LSN
        var times: TimeIndexWriter
        var policy = PreparationPolicy()
        /// Windows that are open, by index: those that are appended to, and those prepared for it.
        var segments: [UInt64: SegmentFile] = [:]
    }

    private let paths: LogPaths
    private let kind: LogKind
    private let fileSystem: any FileSystem
    private let time: any TimeSource
    private let slots: SlotDirectory
    private let opened = Mutex<Opened?>(nil)
    private let notes = Mutex<Notes?>(nil)

    init(paths: LogPaths, kind: LogKind, fileSystem: any FileSystem, time: any TimeSource) {
        self.paths = paths
        self.kind = kind
        self.fileSystem = fileSystem
        self.time = time
        slots = SlotDirectory(paths: paths, fileSystem: fileSystem)
    }

    // MARK: Opening and closing

    public func open(_ configuration: LogConfiguration) throws(WALError) -> StoreOpening {
        let opener = LogOpener(
            paths: paths, kind: kind, fileSystem: fileSystem, time: time, configuration: configuration)
        try opener.refuseStrangers()
        try opener.makeDirectory()
        let lock = try LogLock.takeWriter(paths, fileSystem)
        do throws(WALError) {
            return try LogLock.underMaintenance(paths, fileSystem, time) { () throws(WALError) in
                // Somebody else may have made or removed it before we had the lock.
                let (place, what) = try opener.look()
                switch place {
                case .occupied: throw .notALog(path: paths.name, reason: what)
                case .vacant: try opener.create()
                case .log: break
                }
                return try recover(try opener.admit(writable: true), lock: lock, configuration)
            }
        } catch {
            lock.close()
            throw error
        }
    }

    private func recover(_ admitted: LogOpener.Admitted, lock: any File, _ configuration: LogConfiguration)
        throws(WALError) -> StoreOpening
    {
        let control = admitted.control
        do throws(WALError) {
            let medium = try makeMedium(control, writable: true)
            let boot = try fileSystem.bootID()
            let incarnation = Incarnation.random()
            let recovery = Recovery(
                paths: paths, fileSystem: fileSystem, control: control, medium: medium, slots: slots,
                configuration: configuration, boot: boot, incarnation: incarnation, factsAreDue: admitted.factsAreDue)
            let result = try recovery.run(facts: admitted.facts, epochs: admitted.epochs, isCopied: admitted.isCopied)
            let isReplica = admitted.isCopied || result.facts.isReplica
            var last: SegmentFile?
            let index = result.end.rawValue / medium.windowSize
            if !isReplica {
                control.live.begin(
                    incarnation: incarnation, boot: boot, durable: result.end, head: result.facts.head, writer: getpid())
                if try medium.windows().contains(index) { last = try openSegment(index, medium) }
            }
            let opened = Opened(
                lock: lock, control: control, medium: medium, epochs: admitted.epochs,
                maxRecordSize: result.facts.maxRecordSize, replicaHead: isReplica ? result.facts.head : nil)
            self.opened.withLock { $0 = opened }
            notes.withLock {
                $0 = Notes(
                    cellSequence: result.nextCellSequence, cellDurable: result.end, flushedDurable: result.end, cellTime: 0, durable: result.end,
                    times: TimeIndexWriter(paths: paths, fileSystem: fileSystem, control: control),
                    segments: last.map { [index: $0] } ?? [:])
            }
            return StoreOpening(
                logID: control.identity.logID, epochs: admitted.epochs, segmentSize: Int(medium.windowSize),
                maxRecordSize: result.facts.maxRecordSize, end: result.end, lastSegment: last, isReplica: isReplica,
                report: result.report)
        } catch {
            control.close()
            throw error
        }
    }

    private func makeMedium(_ control: ControlFile, writable: Bool) throws(WALError) -> any LogMedium {
        if let file = paths.singleFile {
            return try GrowingFile(paths: paths, path: file, fileSystem: fileSystem, control: control, writable: writable)
        }
        return SegmentDirectory(paths: paths, fileSystem: fileSystem, control: control)
    }

    private func openSegment(_ index: UInt64, _ medium: any LogMedium) throws(WALError) -> SegmentFile {
        try medium.open(index) { [weak self] index in self?.forgetSegment(index) }
    }

    private func forgetSegment(_ index: UInt64) {
        notes.withLock { notes in _ = notes?.segments.removeValue(forKey: index) }
    }

    private var current: Opened {
        guard let opened = opened.withLock({ $0 }) else { preconditionFailure("\(paths.name) is not open") }
        return opened
    }

    public func close(durable: LSN, clean: Bool) throws(WALError) {
        guard let opened = opened.withLock({ opened in
            defer { opened = nil }
            return opened
        }) else { return }
        notes.withLock { $0 = nil }
        defer {
            opened.control.close()
            opened.lock.close()
        }
        guard opened.replicaHead == nil else { return }
        if opened.control.live.writer == getpid() { opened.control.live.writer = nil }
        opened.control.live.waitingAppends = 0
        opened.control.live.wakeWaiters()
        if clean { try raiseFloor(to: durable, opened) }
    }

    /// The foot that says how far a closed log reaches goes when its segment does: the facts say it too, so that the loss is noticed.
    private func raiseFloor(to durable: LSN, _ opened: Opened) throws(WALError) {
        try opened.control.underMaintenance(time) { () throws(WALError) in
            var facts = try opened.control.requireFacts()
            // After a truncation of the end that failed the facts may be of another end than this process knows: the next opening tells.
            guard facts.discardFrom == nil, facts.epochs.last == opened.epochs.current else { return }
            guard facts.floor < durable else { return }
            facts.floor = durable
            _ = try opened.control.writeFacts(facts, epochs: opened.epochs)
        }
    }

    // MARK: Segments

    public func makeSegment(_ index: UInt64) throws(WALError) -> any LogSegment {
        try make(index, .bare)
    }

    public func prepareSegment(_ index: UInt64) throws(WALError) -> (any LogSegment)? {
        let filling = notes.withLock { $0?.policy.filling } ?? .cached
        let segment = try make(index, filling)
        // Flushes are frequent: those of a segment that was made in a hurry are to profit, too.
        if filling == .written { warmOpenSegments() }
        return segment
    }

    private func make(_ index: UInt64, _ filling: SegmentFilling) throws(WALError) -> SegmentFile {
        let segment = try current.medium.make(index, filling) { [weak self] index in self?.forgetSegment(index) }
        notes.withLock { $0?.segments[index] = segment }
        return segment
    }

    private func warmOpenSegments() {
        let (segments, durable) = notes.withLock { ($0?.segments.values.map { $0 } ?? [], $0?.durable.rawValue ?? 0) }
        let size = current.medium.windowSize
        for segment in segments {
            let start = segment.index * size
            segment.warm(from: Int(min(max(durable, start) - start, size)))
        }
    }

    public func discardSegments(from index: UInt64) throws(WALError) {
        let opened = current
        let cell = notes.withLock { notes -> SegmentFoot.DurableCell? in
            guard let changed = notes, changed.cellDurable.rawValue / opened.medium.windowSize >= index else { return nil }
            notes?.cellSequence += 1
            return SegmentFoot.DurableCell(epoch: opened.epochs.current.id, durable: changed.durable, sequence: changed.cellSequence)
        }
        // The newest cell goes with its foot, and there may be no other that is open. Not for the facts: the maintenance lock may be another's for long,
        // and appends wait for this.
        if let cell { try opened.medium.keep(cell, below: index) }
        try opened.medium.removeWindows(from: index)
    }

    public func isBlocked(waiting: Int) throws(WALError) -> Bool {
        let opened = current
        let live = opened.control.live
        // The flag only says where to look: it outlives who set it.
        let isBlocked = live.isBlocked ? try opened.lock.isLockedByOther(byte: LogLock.blockingByte) : false
        live.waitingAppends = isBlocked ? UInt64(waiting) : 0
        return isBlocked
    }

    public func makeReader() -> any LogBytesReader {
        let opened = current
        return opened.medium.makeReader(head: { [weak self] in self?.opened.withLock { $0?.head } ?? .zero })
    }

    public func commitTimes(ofSegment index: UInt64) throws(WALError) -> [CommitTime] {
        try CommitTimes.read(segment: index, paths, fileSystem, logID: current.control.identity.logID)
    }

    // MARK: Notes of durability

    public func noteDurable(_ durable: LSN, written: LSN) throws(WALError) {
        let live = current.control.live
        live.written = written
        live.durable = durable
        // futex(2) on a shared mapping where nobody waits: 0.27 µs measured, beside a flush of at least 20.
        live.wakeWaiters()
        let now = time.monotonic()
        try notes.withLock { notes throws(WALError) in
            guard var changed = notes else { return }
            defer { notes = changed }
            changed.policy.noteFlush(of: max(durable, changed.durable).distance(from: changed.durable))
            changed.durable = durable
            let crossed = durable.rawValue / current.medium.windowSize != changed.cellDurable.rawValue / current.medium.windowSize
            if crossed || now &- changed.cellTime >= LogLimits.durableCellInterval {
                _ = try writeCell(&changed, now: now)
            }
            changed.times.note(durable, now: time.now(), windowSize: current.medium.windowSize)
        }
    }

    public func noteIdle() throws(WALError) {
        let segment = try notes.withLock { notes throws(WALError) -> SegmentFile? in
            guard var changed = notes, changed.flushedDurable < changed.durable else { return nil }
            defer { notes = changed }
            return try writeCell(&changed, now: time.monotonic())
        }
        guard let segment else { return }
        try segment.syncFoot()
        notes.withLock { notes in
            if let written = notes?.cellDurable { notes?.flushedDurable = written }
        }
    }

    /// Writes the durable LSN into the foot of the segment that it lies in, which the next flush covers (later ones may only be prepared), or of the
    /// last one before it that is open. Nil where none is.
    private func writeCell(_ notes: inout Notes, now: UInt64) throws(WALError) -> SegmentFile? {
        let last = notes.durable.rawValue / current.medium.windowSize
        guard let segment = notes.segments.filter({ $0.key <= last }).max(by: { $0.key < $1.key })?.value else { return nil }
        let cell = SegmentFoot.DurableCell(
            epoch: current.epochs.current.id, durable: notes.durable, sequence: notes.cellSequence)
        try segment.writeCell(cell)
        notes.cellSequence += 1
        notes.cellDurable = notes.durable
        notes.cellTime = now
        return segment
    }

    public func noteStopped() {
        opened.withLock { opened in
            opened?.control.live.setStopped()
            opened?.control.live.wakeWaiters()
        }
    }

    // MARK: Head, truncation, pins

    public var headLSN: LSN { current.head }

    public func truncateBefore(_ lsn: LSN, durable: LSN) throws(WALError) -> LSN {
        let opened = current
        return try truncation(opened).truncateBefore(lsn) { () throws(WALError) in durable }
    }

    public func truncateAfter(_ kept: Range<LSN>, letGo: () throws(WALError) -> Void) throws(WALError) -> StoreTruncation {
        let opened = current
        let epochs = try SuffixTruncation(
            time: time, control: opened.control, medium: opened.medium, slots: slots, lock: opened.lock
        ).truncateAfter(kept, letGo: letGo)
        do throws(WALError) {
            let index = kept.upperBound.rawValue / opened.medium.windowSize
            let last = try opened.medium.windows().contains(index) ? try openSegment(index, opened.medium) : nil
            notes.withLock { notes in
                notes?.cellDurable = kept.upperBound
                notes?.flushedDurable = kept.upperBound
                notes?.durable = kept.upperBound
                notes?.times = TimeIndexWriter(paths: paths, fileSystem: fileSystem, control: opened.control)
                notes?.segments = last.map { [index: $0] } ?? [:]
            }
            // Last: until then this process does not know the log's end for certain.
            self.opened.withLock { $0?.epochs = epochs }
            return StoreTruncation(epochs: epochs, lastSegment: last)
        } catch {
            throw .stopped(cause: StopCause(error))
        }
    }

    public func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError) {
        try truncation(current).pin(name, at: lsn, durable: durable)
    }

    public func unpin(_ name: String) throws(WALError) { try truncation(current).unpin(name) }

    private func truncation(_ opened: Opened) -> PrefixTruncation {
        PrefixTruncation(time: time, control: opened.control, medium: opened.medium, slots: slots)
    }
}
