public import Archive
public import WAL

/// Restores a log from its archive into a new directory, which becomes a log (a replica) only when it is complete.
///
/// Every object is checked whole, every frame is verified, and a gap, a missing object or a wrong byte is an error with its LSN. One object is
/// in memory at a time.
public struct Restore: Sendable {
    public let reader: ArchiveReader
    public let target: RestoreTarget
    /// Where to begin: with the first record at or after it, in an object that holds it or begins there; nil: with the first that there is. What lies
    /// below is not looked at, so a gap there is no error.
    public let from: LSN?

    public init(_ reader: ArchiveReader, target: RestoreTarget = .everything, from: LSN? = nil) {
        self.reader = reader
        self.target = target
        self.from = from
    }

    /// What was done.
    public struct Summary: Hashable, Sendable {
        /// The first record and where the log ends.
        public let head: LSN
        public let end: LSN
        public let records: UInt64
        /// Compressed bytes that were downloaded.
        public let objectBytes: UInt64
        public let objects: Int
        public let seconds: Double

        /// Bytes of log.
        public var bytes: UInt64 { end.distance(from: head) }
    }

    /// How far a restore has come, in bytes of log.
    public struct Progress: Hashable, Sendable {
        public let done: UInt64
        public let total: UInt64
    }

    /// Walks the whole way by the objects' metadata: what is missing shows before anything is written.
    ///
    /// Throws what `ArchiveWalk.next` throws, and `.notFound` for a target outside of what is archived.
    public func plan() async throws(ArchiveError) -> RestorePlan {
        let line = try reader.requireLine()
        let first = (object: try reader.firstObject, record: try reader.firstRecord)
        var head = first.record
        if let from { head = try await firstRecord(atOrAfter: from) }
        let start = from == nil ? first.object : head
        if case .through(let lsn) = target, lsn < head {
            throw ArchiveError(
                .notFound, "the archive begins at LSN \(head): what lay below was pruned, or never archived", lsn: lsn,
                hint: "ask for LSN \(head) or above")
        }
        var plan = RestorePlan(
            logID: reader.log.logID, archiveID: reader.log.archiveID, segmentSize: reader.log.segmentSize, target: target,
            head: head, start: start, end: start)
        var walk = try reader.walk(from: from, depth: .metadata)
        while let piece = try await walk.next() {
            guard piece.range.upperBound > start else { continue }
            plan.add(piece)
            if target.isReached(by: piece) { break }
        }
        if case .through(let lsn) = target, lsn > plan.end {
            throw ArchiveError(
                .notFound, "the archive ends at LSN \(plan.end): there is nothing at LSN \(lsn) yet", lsn: lsn,
                hint: "ask for a lower LSN, or leave --at out for everything")
        }
        guard plan.end >= head else {
            throw ArchiveError(
                .gap, "the archive ends at LSN \(plan.end), below its first record at LSN \(head)", key: reader.layout.floor, lsn: plan.end)
        }
        plan.epochs = line.epochs.epochs.filter { $0.start <= plan.end }
        return plan
    }

    private func firstRecord(atOrAfter lsn: LSN) async throws(ArchiveError) -> LSN {
        let epochs = try reader.requireLine().epochs
        var walk = try reader.walk(from: lsn)
        var frames: FrameAssembler?
        while let piece = try await walk.next() {
            guard piece.range.upperBound > lsn else { continue }
            if frames == nil {
                // The object says where its first record begins; none may begin in it.
                guard let first = piece.metadata.records?.first, piece.range.contains(first) else { continue }
                frames = FrameAssembler(logID: reader.log.logID, epochs: epochs, start: first)
                frames?.add(Array(piece.bytes[Int(first.distance(from: piece.range.lowerBound))...]))
            } else {
                frames?.add(piece.bytes)
            }
            do {
                while let record = try frames?.next() {
                    if record.lsn >= lsn { return record.lsn }
                }
            } catch {
                throw ArchiveError(.damaged, "a record does not verify: \(error)", key: piece.key, lsn: piece.range.lowerBound)
            }
        }
        throw ArchiveError(.notFound, "nothing is archived there yet", lsn: lsn, hint: "ask for a lower LSN")
    }

    /// Restores into `directory`, which must be missing (its parent exists) or empty. On return the log is durable there: a replica, readable, and
    /// writable after `promote`. On an error there is no log, and what was written has been removed.
    ///
    /// `progress` is told after each object. Throws `ArchiveError` as `plan`, and `.keyMissing` before anything is written where an object needs a key that
    /// the reader does not have, and `WALError`: `.notALog` for a directory that is not empty,
    /// `.corruption` where a frame does not verify, and what files throw.
    public func run(into directory: String, progress: (Progress) -> Void = { _ in }) async throws -> Summary {
        let began = ContinuousClock.now
        let plan = try await plan()
        // Said before anything is downloaded or written.
        if let id = plan.keys.sorted(by: { "\($0)" < "\($1)" }).first(where: { !reader.keys.contains($0) }) { throw reader.keys.missing(id) }
        let work = Work(
            try ReplicaWriter.create(
                directory: directory, logID: plan.logID, segmentSize: Int(plan.segmentSize), start: plan.start))
        do {
            let (objects, objectBytes) = try await copy(plan, to: work, progress)
            let history = plan.epochs
            let target = target
            let end = try await OffPool.run { () throws(WALError) in
                try work.finish(head: plan.head, epochs: history, target: target)
            }
            let elapsed = began.duration(to: .now).components
            return Summary(
                head: plan.head, end: end, records: work.writer.recordCount, objectBytes: objectBytes, objects: objects,
                seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18)
        } catch {
            do {
                try work.writer.abandon()
            } catch let second {
                throw RestoreError(cause: error, leftover: second, directory: directory)
            }
            throw error
        }
    }

    private func copy(
        _ plan: RestorePlan, to work: Work, _ progress: (Progress) -> Void
    ) async throws -> (objects: Int, bytes: UInt64) {
        var objects = 0
        var objectBytes: UInt64 = 0
        var walk = try reader.walk(from: from)
        while walk.position < plan.end {
            let position = walk.position
            guard let piece = try await walk.next() else {
                throw ArchiveError(
                    .gap, "the archive reached to LSN \(plan.end) a moment ago and now ends here", lsn: position,
                    hint: "look whether something deletes objects from it")
            }
            // What has come since the plan was made is left out: an end that moves is none. So is what lies below the start in its object.
            let (from, to) = (max(piece.range.lowerBound, plan.start), min(piece.range.upperBound, plan.end))
            guard from < to else { continue }
            let offset = piece.range.lowerBound
            let bytes =
                from == offset && to == piece.range.upperBound
                ? piece.bytes : Array(piece.bytes[Int(from.distance(from: offset))..<Int(to.distance(from: offset))])
            try await OffPool.run { () throws(WALError) in try work.writer.write(bytes, at: from) }
            objects += 1
            objectBytes += piece.metadata.objectSize
            progress(Progress(done: to.distance(from: plan.start), total: plan.rawBytes))
        }
        return (objects, objectBytes)
    }
}

/// Carries the writer to the threads that may block.
/// Unchecked, because each use is awaited before the next begins.
private final class Work: @unchecked Sendable {
    let writer: ReplicaWriter

    init(_ writer: ReplicaWriter) { self.writer = writer }

    /// `history` may hold epochs that begin past the end; the log's own table must not.
    func finish(head: LSN, epochs history: [Epoch], target: RestoreTarget) throws(WALError) -> LSN {
        guard let table = EpochTable(history) else { preconditionFailure("the beginning of a history is one") }
        var through: LSN?
        if case .through(let lsn) = target { through = lsn }
        return try writer.finish(head: head, epochs: table, through: through)
    }
}

/// A restore failed, and so did removing what it had written.
public struct RestoreError: Error, CustomStringConvertible {
    public let cause: any Error
    public let leftover: WALError
    public let directory: String

    public var description: String { "\(cause); what was written to \(directory) could not be removed: \(leftover)" }
}
