import Archive
public import WAL

/// Restores a log from its archives into a new directory, which becomes a log (a replica) only when it is complete.
///
/// Every object is checked whole, every frame is verified, and a gap, a missing object or a wrong byte is an error with its LSN, unless another archive has
/// what it should be. Several objects are downloaded and decompressed at one time; they are written in order. Memory: `RestoreLimits.downloadBytesMax` of the log, and as much again compressed.
public struct Restore: Sendable {
    private let archives: Result<ArchiveGroup, ArchiveError>
    public let target: RestoreTarget
    /// Where to begin: with the first record at or after it, in an object that holds it or begins there; nil: with the first that there is. What lies
    /// below is not looked at, so a gap there is no error.
    public let from: LSN?
    /// Objects that are downloaded at one time.
    public let downloads: Int

    /// From one archive. Where no epoch has begun in it, `plan` and `run` say so.
    public init(_ reader: ArchiveReader, target: RestoreTarget = .everything, from: LSN? = nil) {
        archives = Result { () throws(ArchiveError) in try ArchiveGroup([reader]) }
        self.target = target
        self.from = from
        downloads = RestoreLimits.downloads
    }

    /// Traps where `downloads` is not from 1 to `RestoreLimits.downloadsMax`.
    public init(_ group: ArchiveGroup, target: RestoreTarget = .everything, from: LSN? = nil, downloads: Int = RestoreLimits.downloads) {
        precondition((1...RestoreLimits.downloadsMax).contains(downloads), "\(downloads) downloads at one time")
        archives = .success(group)
        self.target = target
        self.from = from
        self.downloads = downloads
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
        /// Bytes of log that an attempt before had restored, verified again; of those that are part of this one.
        public let resumed: UInt64
        /// What was wrong with one archive, and was had from another.
        public let problems: [RestorePlan.Problem]

        /// Bytes of log.
        public var bytes: UInt64 { end.distance(from: head) }
    }

    /// How far a restore has come, in bytes of log.
    public struct Progress: Hashable, Sendable {
        public let done: UInt64
        public let total: UInt64
    }

    /// Finds the whole way, from listings or name by name: what is missing shows before anything is written.
    ///
    /// Throws `ArchiveError`: what `ArchiveWalk.next` throws, where no archive goes on, and `.notFound` for a target outside of what is archived; and
    /// `AmbiguousTime`.
    public func plan() async throws -> RestorePlan { try await plan(try archives.get()) }

    private func plan(_ group: ArchiveGroup) async throws -> RestorePlan {
        let first = try group.firstRecord
        let head = if let from { try await firstRecord(atOrAfter: from, group) } else { first }
        if let lsn = target.lsn, lsn < head {
            throw ArchiveError.belowTheFirst(head, at: lsn)
        }
        let rule = group.readers[group.newest]
        let empty = RestorePlan(
            logID: rule.log.logID, archiveIDs: group.readers.map(\.log.archiveID), segmentSize: rule.log.segmentSize, target: target, head: head,
            from: from)
        var planning = try RestorePlanning(group, empty)
        var plan = try await planning.run()
        if let lsn = target.lsn, lsn > plan.end {
            throw ArchiveError.pastTheEnd(at: lsn, hint: "the archive ends at LSN \(plan.end): ask for a lower LSN, or for everything, with neither --at nor --before")
        }
        plan.epochs = group.history.epochs.filter { $0.start <= plan.end }
        try await planning.askForKeys(&plan)
        return plan
    }

    private func firstRecord(atOrAfter lsn: LSN, _ group: ArchiveGroup) async throws(ArchiveError) -> LSN {
        var failure: ArchiveError?
        for reader in group.readers {
            do throws(ArchiveError) {
                return try await FirstRecord.find(atOrAfter: lsn, reader, group.history)
            } catch {
                failure = failure ?? error
            }
        }
        guard let failure else { preconditionFailure("a group has archives") }
        throw failure
    }

    /// Restores into `directory`, which must be missing (its parent exists), empty, or hold what an interrupted restore of this log has left: then it goes on there. On
    /// return the log is durable there: a replica, readable, and writable after `promote`. On an error there is no log; what was restored is kept where a good part
    /// of it was (`RestoreError.kept`), so that running again goes on, and removed otherwise.
    ///
    /// Where another writer takes over while it runs, it begins again with the archives as they are then, and keeps what belongs to the log.
    ///
    /// `progress` is told after each object, `note` what is wrong with one archive and was had from another. Throws `ArchiveError` as `plan`, and `.keyMissing` where an object needs a key that
    /// the reader does not have (of one archive alone: before anything is written where the first or last object of an epoch does); `WALError`: `.notALog` for a directory that holds anything else,
    /// `.locked` while another restore works there, `.corruption` where a frame does not verify, and what files throw; and `RestoreError` around any of them.
    public func run(
        into directory: String, progress: @escaping (Progress) -> Void = { _ in }, note: @escaping (RestorePlan.Problem) -> Void = { _ in }
    ) async throws -> Summary {
        try await run(into: directory, on: LinuxFileSystem(), progress: progress, note: note)
    }

    /// On another machine's files, for tests.
    func run(
        into directory: String, on fileSystem: any FileSystem, progress: @escaping (Progress) -> Void = { _ in },
        note: @escaping (RestorePlan.Problem) -> Void = { _ in }
    ) async throws -> Summary {
        let began = ContinuousClock.now
        var group = try archives.get()
        var promotions = 0
        while true {
            do {
                return try await restore(group, Place(directory: directory, fileSystem: fileSystem), began, progress, note)
            } catch let superseded as Superseded {
                promotions += 1
                guard promotions < RestoreLimits.promotionsMax else { throw superseded.error }
                group = try await group.reopened()
            }
        }
    }

    private struct Place {
        let directory: String
        let fileSystem: any FileSystem
    }

    /// Another writer took over below what was restored. Nothing stands in the way of beginning again.
    private struct Superseded: Error {
        let error: ArchiveError
    }

    private func restore(
        _ group: ArchiveGroup, _ place: Place, _ began: ContinuousClock.Instant, _ progress: @escaping (Progress) -> Void,
        _ note: @escaping (RestorePlan.Problem) -> Void
    ) async throws -> Summary {
        let plan = try await plan(group)
        // Said before anything is downloaded or written; where there is another archive, that may have it under a key that is here.
        for link in plan.links where group.readers.count == 1 {
            guard let id = link.facts?.keyID, !group.readers[link.archive].keys.contains(id) else { continue }
            throw group.readers[link.archive].keys.missing(id)
        }
        plan.problems.forEach(note)
        guard let table = EpochTable(plan.epochs) else { preconditionFailure("the beginning of a history is one") }
        let mark = ReplicaMark(
            logID: plan.logID, segmentSize: plan.segmentSize, head: plan.head, end: plan.target.end, synced: .zero)
        let (directory, fileSystem) = (place.directory, place.fileSystem)
        guard let work = try await OffPool.run({ () throws(WALError) in try RestoreWork.begin(directory, mark, table, fileSystem) }) else {
            return try await OffPool.run { try Restore.complete(directory, fileSystem, plan, began) }
        }
        do {
            var copy = RestoreCopy(plan, group, downloads: downloads, note: note, progress: progress)
            try await copy.run(to: work)
            if let fork = try await group.fork(below: plan.end) {
                throw Superseded(
                    error: ArchiveError(
                        .diverged, "another writer took over at LSN \(fork.lsn) while this was restored", key: fork.key, lsn: fork.lsn,
                        hint: "run the same restore again"))
            }
            let end = try await OffPool.run { () throws(WALError) in try work.writer.finish() }
            return Summary(
                head: plan.head, end: end, records: work.writer.recordCount, objectBytes: copy.objectBytes, objects: copy.objects,
                seconds: Restore.seconds(since: began), resumed: min(work.writer.resumed, end.distance(from: plan.head)),
                problems: plan.problems + copy.problems)
        } catch {
            let failure = await OffPool.run { () throws(Never) in work.end(after: error, directory) }
            if let error = failure as? RestoreError, let superseded = error.cause as? Superseded {
                if case .kept = error.remains { throw superseded }
                throw RestoreError(cause: superseded.error, remains: error.remains, directory: directory)
            }
            throw failure
        }
    }

    /// An attempt before had done everything but to say so.
    private static func complete(
        _ directory: String, _ fileSystem: any FileSystem, _ plan: RestorePlan, _ began: ContinuousClock.Instant
    ) throws -> Summary {
        let reader = try LogReader.open(directory: directory, fileSystem: fileSystem, time: LinuxTimeSource())
        defer { reader.close() }
        let (head, end) = (try reader.headLSN, try reader.durableLSN)
        var records: UInt64 = 0
        for element in reader.iter() {
            _ = try element.get()
            records += 1
        }
        return Summary(
            head: head, end: end, records: records, objectBytes: 0, objects: 0,
            seconds: seconds(since: began), resumed: end.distance(from: head), problems: plan.problems)
    }

    private static func seconds(since began: ContinuousClock.Instant) -> Double { (ContinuousClock.now - began) / .seconds(1) }
}

extension RestoreTarget {
    fileprivate var lsn: LSN? {
        switch self {
        case .through(let lsn), .before(let lsn): lsn
        case .everything, .time: nil
        }
    }

    fileprivate var end: ReplicaStream.End {
        switch self {
        case .everything: .everything
        case .through(let lsn): .through(lsn)
        case .before(let lsn): .limit(lsn)
        case .time: preconditionFailure("a plan has found the LSN of a time")
        }
    }
}

/// A restore failed, and what became of what it had written.
public struct RestoreError: Error, CustomStringConvertible {
    public enum Remains: Hashable, Sendable {
        /// It is kept, intact up to here: running the restore again goes on there.
        case kept(upTo: LSN)
        /// It was to be removed, and could not be.
        case leftover(WALError)
    }

    public let cause: any Error
    public let remains: Remains
    public let directory: String

    public var description: String {
        switch remains {
        case .kept(let lsn): "\(cause); what was restored up to LSN \(lsn) is kept in \(directory): run the same restore again to go on, or remove it"
        case .leftover(let error): "\(cause); what was written to \(directory) could not be removed: \(error)"
        }
    }
}
