public import Archive
public import WAL

/// An archive as it was when it was opened: whose it is, which line of epochs is to be read, and where it begins.
///
/// Holds no bytes of the log. Nothing is written through it. Safe from any task.
public struct ArchiveReader: Sendable {
    public let layout: Layout
    public let log: LogDocument
    /// The highest epoch that was claimed; nil where none was.
    public let highestClaim: ClaimDocument?
    /// The line of the newest epoch that has begun; nil where none has: then nothing can be read.
    /// An epoch that was claimed and has not begun is not followed: its parent is.
    public let line: EpochLine?
    /// Where a pruned archive begins.
    public let floor: FloorDocument?
    let access: ArchiveAccess

    /// What a command does that somebody waits for: each request is tried for a minute, then it says what is wrong.
    public static let retryPolicy = RetryPolicy(deadline: 60, delayMax: 10)

    /// Opens the archive of `log` in `store`. Throws `.notFound` where there is none, `.invalid` and `.damaged` for documents that break the
    /// format, and what the store throws when patience ends.
    public static func open(
        store: any ObjectStore, log: LogName, patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
    ) async throws(ArchiveError) -> ArchiveReader {
        let layout = Layout(log: log)
        let access = ArchiveAccess(store: store, layout: layout, patience: patience)
        guard let document = try await access.document(LogDocument.self, layout.logDocument) else {
            throw ArchiveError(
                .notFound, "there is no archive of the log \(log) at \(store.name)", key: layout.logDocument,
                hint: "check the URL: it is <base>/<log name>")
        }
        let highest = try await Claims(store: store, layout: layout, patience: patience).highest()
        return ArchiveReader(
            layout: layout, log: document, highestClaim: highest,
            line: try await newestLine(access, upTo: highest?.epoch.number ?? 0),
            floor: try await access.document(FloorDocument.self, layout.floor), access: access)
    }

    /// The line of the highest epoch that has begun.
    private static func newestLine(_ access: ArchiveAccess, upTo highest: UInt64) async throws(ArchiveError) -> EpochLine? {
        var number = highest
        while number > 0 {
            let key = access.layout.start(number)
            if let document = try await access.document(StartDocument.self, key) {
                let claim = try await Claims(store: access.store, layout: access.layout, patience: access.patience).document(number)
                guard document.epoch.epoch.number == number, document.epoch.epoch.id == claim?.epoch.id else {
                    throw ArchiveError(
                        .diverged, "it is of epoch \(document.epoch.epoch), which is not the one that was claimed", key: key)
                }
                return try EpochLine(document, key: key)
            }
            number -= 1
        }
        return nil
    }

    /// The line. Throws `.notFound` where no epoch has begun.
    public func requireLine() throws(ArchiveError) -> EpochLine {
        if let line { return line }
        throw ArchiveError(
            .notFound, "the archive of the log \(layout.log) at \(access.store.name) is empty: no epoch has begun in it",
            key: layout.start(highestClaim?.epoch.number ?? 1))
    }

    /// Where the first object begins that can be read. Throws like `requireLine`, and `.invalid` for a floor below the line.
    public var firstObject: LSN {
        get throws(ArchiveError) {
            let line = try requireLine()
            guard let floor else { return line.start }
            guard floor.objectStart >= line.start else {
                throw ArchiveError(
                    .invalid, "field object_start: \(floor.objectStart) lies below LSN \(line.start), where the archive's epochs begin",
                    key: layout.floor)
            }
            return floor.objectStart
        }
    }

    /// The first record that can be read.
    public var firstRecord: LSN {
        get throws(ArchiveError) {
            let line = try requireLine()
            return floor?.lsn ?? line.start
        }
    }

    /// Walks the archive's objects from the one that holds `lsn`, which is at or above `firstRecord`, or from the first.
    ///
    /// The walk may begin below `lsn`: at its segment's beginning. Throws `.notFound` below the first record.
    public func walk(from lsn: LSN? = nil, depth: ArchiveWalk.Depth = .whole) throws(ArchiveError) -> ArchiveWalk {
        let line = try requireLine()
        let first = try firstObject
        guard let lsn else { return ArchiveWalk(self, line: line, floor: first, start: first, depth: depth) }
        let firstRecord = try firstRecord
        guard lsn >= firstRecord, let source = line.source(at: lsn) else {
            throw ArchiveError(
                .notFound, "the archive begins at LSN \(firstRecord): what lay below was pruned, or never archived", lsn: lsn,
                hint: "ask for LSN \(firstRecord) or above")
        }
        let segment = LSN(lsn.rawValue / log.segmentSize * log.segmentSize)
        return ArchiveWalk(self, line: line, floor: first, start: max(segment, source.start, first), depth: depth)
    }

    /// Where an object should lie, and whose.
    func identity(_ kind: ObjectMetadata.Kind, _ epoch: EpochName, start: LSN) -> ObjectIdentity {
        ObjectIdentity(logID: log.logID, archiveID: log.archiveID, epoch: epoch, kind: kind, start: start)
    }
}
