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
    /// What opens encrypted objects.
    let keys: KeyRing
    let access: ArchiveAccess
    /// Where the bytes of objects are put, for who gives them back.
    let blocks = BlockPool(countMax: RestoreLimits.downloads)

    /// What a command does that somebody waits for: each request is tried for a minute, then it says what is wrong.
    public static let retryPolicy = RetryPolicy(deadline: 60, delayMax: 10)

    /// Opens the archive of `log` in `store`; `keys` open its objects where they are encrypted, and are not needed for anything else. Throws `.notFound` where there is none, `.invalid` and `.damaged` for documents that break the
    /// format, `.gap` where documents of an epoch are missing that was not the last to leave something, and what the store throws when patience ends.
    ///
    /// `traces` says how far names are listed, where the store lists, to notice a newest epoch whose claim and start are both lost. Without a listing the epoch before it
    /// would be taken for the newest: names hold a random id, so nothing else leads there, unless a claim after the next one is there.
    public static func open(
        store: any ObjectStore, log: LogName, keys: KeyRing = .none, traces: EpochTraces.Depth = .heads,
        patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
    ) async throws(ArchiveError) -> ArchiveReader {
        let layout = Layout(log: log)
        let access = ArchiveAccess(store: store, layout: layout, patience: patience)
        guard let document = try await access.document(LogDocument.self, layout.logDocument) else {
            throw ArchiveError(
                .notFound, "there is no archive of the log \(log) at \(store.name)", key: layout.logDocument,
                hint: "check the URL: it is <base>/<log name>")
        }
        let claims = Claims(store: store, layout: layout, patience: patience)
        let highest = try await highestClaim(claims, access, traces)
        return ArchiveReader(
            layout: layout, log: document, highestClaim: highest,
            line: try await newestLine(access, claims, upTo: highest?.epoch.number ?? 0),
            floor: try await access.document(FloorDocument.self, layout.floor), keys: keys, access: access)
    }

    /// The highest claim. An epoch is begun only after it was claimed, and claimed only after the one before: what leads past the highest claim says that
    /// a claim was lost, and that the epochs before it are not the whole log.
    private static func highestClaim(
        _ claims: Claims, _ access: ArchiveAccess, _ traces: EpochTraces.Depth
    ) async throws(ArchiveError) -> ClaimDocument? {
        var highest = try await claims.highest()
        while true {
            let known = highest?.epoch.number ?? 0
            guard let (number, key) = try await evidence(past: known, claims, access, traces) else { return highest }
            // It may have been claimed since.
            highest = try await claims.highest(known: known)
            guard highest?.epoch.number ?? 0 > known else {
                throw ArchiveError(
                    .damaged, "epoch \(number) was here (\(key)), and the claim of epoch \(known + 1) is missing or cut short",
                    key: access.layout.claim(known + 1),
                    hint: "bring the documents below epochs/ back from another copy of the archive; what is left without them is not the whole log")
            }
        }
    }

    /// What tells of an epoch past the highest that seems to be claimed.
    private static func evidence(
        past known: UInt64, _ claims: Claims, _ access: ArchiveAccess, _ traces: EpochTraces.Depth
    ) async throws(ArchiveError) -> (number: UInt64, key: ObjectKey)? {
        guard known + 1 < ArchiveLimits.epochNumberMax else { return nil }
        for number in [known + 1, known + 2] {
            let key = access.layout.start(number)
            if try await access.bytes(key, limit: StartDocument.sizeMax) != nil { return (number, key) }
        }
        if try await claims.readable(known + 2) != nil { return (known + 2, access.layout.claim(known + 2)) }
        let names = EpochTraces(layout: access.layout) { (prefix) throws(ArchiveError) in try await access.list(prefix) }
        return try await names.first(traces) { $0.number > known }.map { ($0.epoch.number, $0.key) }
    }

    /// The line of the highest epoch that has begun.
    private static func newestLine(_ access: ArchiveAccess, _ claims: Claims, upTo highest: UInt64) async throws(ArchiveError) -> EpochLine? {
        var number = highest
        while number > 0 {
            let key = access.layout.start(number)
            let claim = try await claims.document(number)
            var document = try await access.document(StartDocument.self, key)
            if document == nil, let claim, try await hasObjects(claim.epoch, access) {
                // It may have begun since.
                document = try await access.document(StartDocument.self, key)
                guard document != nil else {
                    throw ArchiveError(
                        .gap, "start.json is missing, although objects of epoch \(claim.epoch) are here", key: key,
                        hint: "bring the document back from another copy of the archive; without it this epoch cannot be read")
                }
            }
            if let document {
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

    /// Whether anything was archived under the epoch: always known where the store lists, else as far as its head document leads to it.
    private static func hasObjects(_ epoch: EpochName, _ access: ArchiveAccess) async throws(ArchiveError) -> Bool {
        let layout = access.layout
        var canList = true
        for prefix in [layout.segments(epoch), layout.tails(epoch), layout.gaps(epoch)] where canList {
            guard let keys = try await access.list(prefix) else {
                canList = false
                continue
            }
            if !keys.isEmpty { return true }
        }
        guard !canList, let head = try await access.head(epoch) else { return false }
        // A promotion writes a head before start.json, with nothing behind it; a shipper's head goes on to a tail or past a segment.
        return head.archived > head.checkpoint
    }

    /// The archive as it is now.
    func reopened() async throws(ArchiveError) -> ArchiveReader {
        try await ArchiveReader.open(store: access.store, log: layout.log, keys: keys, patience: access.patience)
    }

    enum Successor: Sendable {
        case none
        /// The highest that is claimed, where none has begun.
        case claimed(UInt64)
        /// The newest that has begun.
        case begun(EpochLine)
    }

    /// Whether an epoch after the one that is read was claimed, and has begun. One request where there is none.
    func successor() async throws(ArchiveError) -> Successor {
        let known = line?.document.epoch.epoch.number ?? 0
        let claims = Claims(store: access.store, layout: layout, patience: access.patience)
        guard known < ArchiveLimits.epochNumberMax, try await claims.readable(known + 1) != nil else { return .none }
        // What was seen counts, also where a rival writes over it meanwhile.
        let top = max(try await claims.highest(known: known + 1)?.epoch.number ?? 0, known + 1)
        for number in (known + 1...top).reversed() {
            let key = layout.start(number)
            if let document = try await access.document(StartDocument.self, key) { return .begun(try EpochLine(document, key: key)) }
        }
        return .claimed(top)
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

    /// What planning needs to know. Throws like `firstObject`.
    var outline: ArchiveOutline {
        get throws(ArchiveError) {
            ArchiveOutline(
                layout: layout, logID: log.logID, archiveID: log.archiveID, segmentSize: log.segmentSize, line: try requireLine(),
                firstObject: try firstObject, firstRecord: try firstRecord)
        }
    }

    /// Walks the archive's objects from the one that holds `lsn`, which is at or above `firstRecord`, or from the first.
    ///
    /// The walk may begin below `lsn`: at its segment's beginning; or, where a gap ends at `lsn`, there. Throws `.notFound` below the first record.
    public func walk(from lsn: LSN? = nil, depth: ArchiveWalk.Depth = .whole) throws(ArchiveError) -> ArchiveWalk {
        try walk(from: lsn, gapEnd: nil, depth: depth)
    }

    /// `gapEnd`: where a gap below ends that was crossed.
    func walk(from lsn: LSN?, gapEnd: LSN?, depth: ArchiveWalk.Depth = .whole) throws(ArchiveError) -> ArchiveWalk {
        let outline = try outline
        guard let lsn else {
            return ArchiveWalk(self, ArchiveChain(outline, start: outline.firstObject, resume: outline.firstObject), depth: depth)
        }
        guard let chain = outline.chain(from: lsn, gapEnd: gapEnd) else {
            throw ArchiveError.belowTheFirst(outline.firstRecord, at: lsn)
        }
        return ArchiveWalk(self, chain, depth: depth)
    }

    /// Which names the objects of `epoch` have: told once, and not changed. One that was cut short tells nothing.
    func naming(_ epoch: EpochName) async throws(ArchiveError) -> ObjectNaming {
        do throws(ArchiveError) {
            return try await encryption(epoch)?.naming ?? .plain
        } catch where error.code == .damaged {
            return .either
        }
    }

    /// From where on the objects of `epoch` are encrypted; nil where none is. Throws `.diverged` for another epoch's.
    func encryption(_ epoch: EpochName) async throws(ArchiveError) -> EncryptionDocument? {
        let key = layout.encryption(epoch.number)
        guard let document = try await access.document(EncryptionDocument.self, key) else { return nil }
        guard document.epoch == epoch else {
            throw ArchiveError(.diverged, "it is of epoch \(document.epoch), which is not the one that was claimed", key: key)
        }
        return document
    }
}
