public import Archive
public import WAL

/// Brings back objects of an archive that are damaged or missing, from another archive of the same log or from the log itself.
///
/// An object is put there only where it is proven to be the one that was: its raw digest is the one that its successor names, or the one that its own
/// metadata, intact by its own checksum, still says. What is intact is never replaced. Safe beside a live shipper, which puts the same bytes under the same
/// names or finds them there. Safe from any task.
public struct ArchiveMending: Sendable {
    /// What is put in the place of one object or document.
    public struct Step: Hashable, Sendable {
        public let key: ObjectKey
        /// Nil for a document.
        public let range: Range<LSN>?
        public let digest: RawDigest?
        /// Nothing is there now; otherwise something damaged is.
        public let isMissing: Bool
        /// What is put there, and how much it is.
        let bytes: [UInt8]
        let start: LSN
        public var size: Int { bytes.count }
    }

    /// What is damaged or missing and cannot be brought back.
    public struct Obstacle: Hashable, Sendable {
        public let key: ObjectKey?
        public let lsn: LSN?
        public let reason: String
    }

    private let access: ArchiveAccess
    private let source: MendingSource
    private let keys: KeyRing
    /// Whose archive it is: by its own log.json, or, where that cannot be read, by a copy's that its objects agree with.
    private let log: LogDocument
    private var layout: Layout { access.layout }

    /// `summary` is of the audit whose findings are to be mended. `keys` open what is encrypted, and encrypt it again with the key that it had.
    ///
    /// Throws `.diverged` where the source is of another log, and what reading log.json threw where neither it nor a copy's says whose archive this is.
    public init(
        store: any ObjectStore, log name: LogName, keys: KeyRing = .none, audited summary: AuditSummary, from source: MendingSource,
        patience: @escaping @Sendable () -> any RetryWait = { RetryTimer(ArchiveReader.retryPolicy) }
    ) async throws(ArchiveError) {
        access = ArchiveAccess(store: store, layout: Layout(log: name), patience: patience)
        self.source = source
        self.keys = keys
        log = try await ArchiveMending.log(access, summary, source)
        guard source.logID == log.logID else {
            throw ArchiveError(.diverged, "\(source.name) is of log \(source.logID), the archive of \(log.logID)", key: access.layout.logDocument)
        }
    }

    /// log.json is what everything else is compared with. A copy's is believed where every object that the audit could read is of it.
    private static func log(_ access: ArchiveAccess, _ summary: AuditSummary, _ source: MendingSource) async throws(ArchiveError) -> LogDocument {
        let key = access.layout.logDocument
        var why = ArchiveError(.notFound, "log.json is missing", key: key)
        do throws(ArchiveError) {
            if let found = try await access.document(LogDocument.self, key) { return found }
        } catch where AuditChain.isFault(error) {
            why = error
        }
        if case .archive(let copy) = source, summary.owners == [AuditSummary.Owner(logID: copy.log.logID, archiveID: copy.log.archiveID)] { return copy.log }
        why.hint = "name a copy of this very archive with --from"
        throw why
    }

    /// What can be brought back of what an audit has found, one after another, and what cannot. One object is in memory at a time: `take` is told of each
    /// step, and does it (`put`) or not. Documents come first, as objects are found through them; then objects, ascending, so that one finds the one before it mended.
    public func mend(
        _ findings: [AuditFinding], _ take: (Step) async throws -> Void, _ obstacle: (Obstacle) throws -> Void
    ) async throws {
        for finding in findings where finding.object == nil && finding.lsn == nil {
            guard finding.kind == .damage || finding.kind == .missing, let key = finding.key else { continue }
            try await mend(Wanted(key: key, lsn: nil, isMissing: finding.kind == .missing, object: nil), take, obstacle)
        }
        for hole in findings where hole.kind == .missing && hole.key == nil {
            for key in try await documents(for: hole) { try await mend(Wanted(key: key, lsn: hole.lsn, isMissing: true, object: nil), take, obstacle) }
        }
        let lost = try await lostObjects(findings)
        for object in lost.objects {
            try await mend(Wanted(key: layout.key(object), lsn: object.start, isMissing: lost.missing.contains(object), object: object), take, obstacle)
        }
        for error in lost.obstacles { try obstacle(error) }
    }

    /// What is known of a step before it is made.
    private struct Wanted {
        let key: ObjectKey
        let lsn: LSN?
        let isMissing: Bool
        /// Nil: a document.
        let object: ArchivedObject?
    }

    /// One step, if it can be made and something is to be done. What fails for the archive's or the source's sake is an obstacle; a store that fails says nothing.
    private func mend(_ wanted: Wanted, _ take: (Step) async throws -> Void, _ obstacle: (Obstacle) throws -> Void) async throws {
        switch await needed(wanted) {
        case .success(let step): if let step { try await take(step) }
        case .failure(let error):
            guard ArchiveMending.isObstacle(error) else { throw error }
            try obstacle(Obstacle(key: wanted.key, lsn: wanted.lsn, reason: error.message))
        }
    }

    /// Nil where it came back meanwhile.
    private func needed(_ wanted: Wanted) async -> Result<Step?, ArchiveError> {
        do throws(ArchiveError) {
            let step = if let object = wanted.object { try await step(object) } else { try await document(wanted.key) }
            switch try await sight(step) {
            case .nothing, .broken: return .success(step)
            case .asWanted where wanted.isMissing: return .success(nil)
            case .asWanted: throw ArchiveError(.diverged, "what is there is whole, and what was archived: read it again with `walshipd verify --archive`")
            case .other(let words): throw ArchiveError(.diverged, "\(words) is there and whole, and nothing that is whole is replaced")
            }
        } catch {
            return .failure(error)
        }
    }

    private static func isObstacle(_ error: ArchiveError) -> Bool {
        switch error.code {
        case .notFound, .gap, .endUnproven, .keyMissing: true
        default: AuditChain.isFault(error)
        }
    }

    private struct LostObjects {
        var objects: [ArchivedObject] = []
        var missing: Set<ArchivedObject> = []
        var obstacles: [Obstacle] = []
    }

    /// Damaged ones by their names; of what is missing, the segments that would hold it.
    private func lostObjects(_ findings: [AuditFinding]) async throws(ArchiveError) -> LostObjects {
        var lost = LostObjects()
        lost.objects = findings.filter { $0.kind == .damage }.compactMap(\.object)
        let holes = findings.filter { $0.kind == .missing && $0.key == nil }
        if !holes.isEmpty {
            do throws(ArchiveError) {
                let line = try await ArchiveReader.open(store: access.store, log: layout.log, keys: keys, patience: access.patience).requireLine()
                for hole in holes { lost.missing.formUnion(try await segments(in: hole, line)) }
            } catch where ArchiveMending.isObstacle(error) {
                lost.obstacles = holes.map { Obstacle(key: nil, lsn: $0.lsn, reason: "the archive's documents have to be mended first: \(error.message)") }
            }
        }
        lost.objects = (lost.objects + lost.missing).sorted { ($0.start, $0.epoch.number) < ($1.start, $1.epoch.number) }
        return lost
    }

    private func segments(in hole: AuditFinding, _ line: EpochLine) async throws(ArchiveError) -> [ArchivedObject] {
        guard let begin = hole.lsn, let end = hole.end, let source = line.source(at: begin) else { return [] }
        let naming = try await naming(source.epoch)
        var found: [ArchivedObject] = []
        var position = begin
        // A document that was mended may lead over it by now.
        if try await isBridged(begin, source.epoch) { return [] }
        while position < end {
            found.append(ArchivedObject(epoch: source.epoch, kind: .segment, start: position, isEncrypted: naming.forms(start: position)[0]))
            position = LSN((position.rawValue / log.segmentSize + 1) * log.segmentSize)
        }
        return found
    }

    private func isBridged(_ lsn: LSN, _ epoch: EpochName) async throws(ArchiveError) -> Bool {
        if try await access.isThere(layout.gap(epoch, start: lsn)) { return true }
        return try await intact(FloorDocument.self, layout.floor).map { $0.objectStart > lsn } ?? false
    }

    // MARK: Objects

    private func step(_ lost: ArchivedObject) async throws(ArchiveError) -> Step {
        guard let start = try await access.document(StartDocument.self, layout.start(lost.epoch.number)), start.epoch.epoch == lost.epoch,
            let epochStart = start.epoch.start
        else { throw ArchiveError(.notFound, "start.json of its epoch is needed first") }
        let names = try await naming(lost.epoch)
        let forms = names.forms(start: lost.start)
        // Its own beginning may have stayed whole.
        let own = try await header(lost)
        guard let end = end(lost, own) else { throw ArchiveError(.notFound, "where it ended is not known: its metadata is damaged as well") }
        let range = lost.start..<end
        let successor = try await neighbour(lost, at: end, names)
        // Which tail a tail names is not decided by anything (§4.2): its own word comes first.
        guard let proof = lost.kind == .segment ? successor?.precedingDigest ?? own?.rawDigest : own?.rawDigest ?? successor?.precedingDigest else {
            throw ArchiveError(.notFound, "nothing says what was in it: there is no object behind it yet, and its own metadata is damaged or missing")
        }
        if source.isCopy(of: log.archiveID) {
            for isEncrypted in forms {
                let object = ArchivedObject(epoch: lost.epoch, kind: lost.kind, start: lost.start, isEncrypted: isEncrypted)
                if let bytes = try await verbatim(object, proof) { return try await made(object, range, proof, bytes) }
            }
        }
        guard let part = try await source.part(range, lost.epoch, lost.kind) else {
            throw ArchiveError(.notFound, "\(source.name) does not have LSN \(range.lowerBound) to \(range.upperBound) in one piece")
        }
        let (digest, key) = try key(for: part.raw, proof)
        let preceding = try await preceding(lost, epochStart, names, own)
        let metadata = ObjectMetadata(
            kind: lost.kind, logID: log.logID, archiveID: log.archiveID, epoch: lost.epoch, epochStart: epochStart, start: range.lowerBound,
            end: range.upperBound, records: part.records, precedingDigest: preceding,
            ancestry: start.epochs.map { Epoch(number: $0.epoch.number, id: $0.epoch.id, start: $0.fork) }, timeIndex: part.times)
        let object = ArchivedObject(epoch: lost.epoch, kind: lost.kind, start: lost.start, isEncrypted: key != nil)
        guard forms.contains(object.isEncrypted) else {
            throw ArchiveError(.diverged, "the digest is that of \(object.isEncrypted ? "an" : "no") encrypted object, and none such is read here")
        }
        let encoded = try await OffPool.run { () throws(ArchiveError) in
            try ObjectEncoder(key: key).encode(part.raw, metadata, level: Self.compressionLevel)
        }
        return try await made(object, range, digest, encoded.bytes)
    }

    /// zstd's default.
    private static let compressionLevel = 3

    private func made(_ object: ArchivedObject, _ range: Range<LSN>, _ digest: RawDigest, _ bytes: [UInt8]) async throws(ArchiveError) -> Step {
        let key = layout.key(object)
        return Step(
            key: key, range: range, digest: digest, isMissing: try await !access.isThere(key), bytes: bytes, start: object.start)
    }

    /// A copy's object of the same name, with the digest that is asked for.
    private func verbatim(_ object: ArchivedObject, _ proof: RawDigest) async throws(ArchiveError) -> [UInt8]? {
        let key = layout.key(object)
        guard let bytes = try await source.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
        do throws(ArchiveError) {
            let metadata = try await open(bytes, key, object.start)
            return metadata.rawDigest == proof && metadata.epoch == object.epoch && metadata.kind == object.kind ? bytes : nil
        } catch where AuditChain.isFault(error) {
            return nil
        }
    }

    /// Checks an object as far as the keys go.
    private func open(_ bytes: [UInt8], _ key: ObjectKey, _ start: LSN) async throws(ArchiveError) -> ObjectMetadata {
        let keys = keys
        return try await OffPool.run { () throws(ArchiveError) in
            do throws(ArchiveError) {
                return try ObjectDecoder.decode(bytes, key: key, start: start, keys: keys).metadata
            } catch where error.code == .keyMissing {
                return try ObjectDecoder.checkSealed(bytes, key: key, start: start)
            }
        }
    }

    /// Which names the epoch's objects have; both where that cannot be read.
    private func naming(_ epoch: EpochName) async throws(ArchiveError) -> ObjectNaming {
        let key = layout.encryption(epoch.number)
        if let document = try await intact(EncryptionDocument.self, key) { return document.naming }
        return try await access.isThere(key) ? .either : .plain
    }

    /// The document at `key`; nil where nothing is, or something that cannot be read.
    private func intact<Document: ArchiveDocument>(_ type: Document.Type, _ key: ObjectKey) async throws(ArchiveError) -> Document? {
        do throws(ArchiveError) {
            return try await access.document(type, key)
        } catch where AuditChain.isFault(error) {
            return nil
        }
    }

    /// The metadata of what lies at the lost object's name, where that part of it is whole.
    private func header(_ lost: ArchivedObject) async throws(ArchiveError) -> ObjectMetadata? {
        do throws(ArchiveError) {
            let found = try await readingAgain { () throws(ArchiveError) in try await access.metadata(layout.key(lost), start: lost.start) }
            return found.flatMap { $0.epoch == lost.epoch && $0.kind == lost.kind && $0.archiveID == log.archiveID ? $0 : nil }
        } catch where AuditChain.isFault(error) {
            return nil
        }
    }

    private func end(_ lost: ArchivedObject, _ own: ObjectMetadata?) -> LSN? {
        if let own { return own.end }
        guard lost.kind == .segment else { return nil }
        let size = log.segmentSize
        return LSN((lost.start.rawValue / size + 1) * size)
    }

    /// The metadata of the object of the same kind and epoch that begins at `lsn`, where that part of it is whole.
    private func neighbour(_ lost: ArchivedObject, at lsn: LSN, _ names: ObjectNaming) async throws(ArchiveError) -> ObjectMetadata? {
        for isEncrypted in names.forms(start: lsn) {
            if let found = try await header(ArchivedObject(epoch: lost.epoch, kind: lost.kind, start: lsn, isEncrypted: isEncrypted)) { return found }
        }
        return nil
    }

    /// What the object before it has, or what its own metadata still says of that; nil for the first of its epoch.
    private func preceding(_ lost: ArchivedObject, _ epochStart: LSN, _ names: ObjectNaming, _ own: ObjectMetadata?) async throws(ArchiveError) -> RawDigest? {
        if let own { return own.precedingDigest }
        guard lost.start > epochStart, lost.kind == .segment else { return nil }
        let size = log.segmentSize
        let before = max(epochStart, LSN((lost.start.rawValue - 1) / size * size))
        return try await neighbour(ArchivedObject(epoch: lost.epoch, kind: .segment, start: before, isEncrypted: false), at: before, names)?.rawDigest
    }

    /// With which key the raw bytes have the digest that is asked for.
    private func key(for raw: [UInt8], _ proof: RawDigest) throws(ArchiveError) -> (RawDigest, MasterKey?) {
        let plain = RawDigest(of: raw)
        if plain == proof { return (plain, nil) }
        if let key = keys.all.first(where: { keys.digest(plain, log: log.logID, under: $0.id) == proof }) { return (proof, key) }
        throw ArchiveError(
            .diverged, "\(source.name) has other bytes there: their digest is \(plain), and \(proof) was archived\(keys.isEmpty ? ", or is encrypted with a key that was not given" : "")")
    }

    // MARK: Documents

    /// Those of a copy that may lead over a hole: the gap's, and the floor of an archive that was pruned.
    private func documents(for hole: AuditFinding) async throws(ArchiveError) -> [ObjectKey] {
        guard case .archive(let copy) = source, source.isCopy(of: log.archiveID), let begin = hole.lsn, let end = hole.end, let line = copy.line else { return [] }
        if let floor = copy.floor, floor.objectStart >= end, begin == line.start, try await !access.isThere(layout.floor) { return [layout.floor] }
        guard let epoch = line.source(at: begin)?.epoch else { return [] }
        let key = layout.gap(epoch, start: begin)
        return try await source.bytes(key, limit: GapDocument.sizeMax) != nil ? [key] : []
    }

    /// A document of a copy, as it stands there.
    private func document(_ key: ObjectKey) async throws(ArchiveError) -> Step {
        guard source.isCopy(of: log.archiveID) else { throw ArchiveError(.notFound, "documents are taken from a copy of this very archive only") }
        if case .head? = layout.meaning(of: key) { throw ArchiveError(.notFound, "it is not brought back: a head is written anew by whoever ships") }
        guard let bytes = try await source.bytes(key, limit: ArchiveLimits.startDocumentSizeMax) else {
            throw ArchiveError(.notFound, "\(source.name) does not have it")
        }
        try check(bytes, key)
        if key == layout.floor {
            let floor = try FloorDocument(decoding: bytes, key: key)
            try await requireObject(of: floor)
            try await requireNothingHidden(by: floor)
        }
        return Step(key: key, range: nil, digest: nil, isMissing: try await !access.isThere(key), bytes: bytes, start: .zero)
    }

    private func check(_ bytes: [UInt8], _ key: ObjectKey) throws(ArchiveError) {
        let isRight: Bool
        switch layout.meaning(of: key) {
        case .logDocument: isRight = try LogDocument(decoding: bytes, key: key) == log
        case .claim(let number): isRight = try ClaimDocument(decoding: bytes, key: key).epoch.number == number
        case .start(let number): isRight = try StartDocument(decoding: bytes, key: key).epoch.epoch.number == number
        case .encryption(let number): isRight = try EncryptionDocument(decoding: bytes, key: key).epoch.number == number
        case .floor: isRight = try FloorDocument(decoding: bytes, key: key).lsn <= ArchiveLimits.lsnMax
        case .gap(_, let start): isRight = try GapDocument(decoding: bytes, key: key).start == start
        default: isRight = false
        }
        guard isRight else { throw ArchiveError(.diverged, "what is there is of something else", key: key) }
    }

    /// A copy that was pruned at another time has another floor: one that leads nowhere here is not taken.
    private func requireObject(of floor: FloorDocument) async throws(ArchiveError) {
        for key in layout.names(.segment, floor.epoch, start: floor.objectStart, try await naming(floor.epoch)) {
            if try await access.isThere(key) { return }
        }
        throw ArchiveError(.notFound, "\(source.name) begins at LSN \(floor.lsn), and the object that holds it is not here")
    }

    /// A copy that was pruned further has a floor above objects that are here: readers would not come to them any more, and the next prune would delete them.
    private func requireNothingHidden(by floor: FloorDocument) async throws(ArchiveError) {
        guard let hidden = try await object(below: floor.objectStart) else { return }
        throw ArchiveError(
            .diverged, "\(source.name) was pruned to LSN \(floor.lsn), and \(hidden) below it is still here: its floor would hide that", key: layout.floor)
    }

    /// An object here that a floor with its object at `lsn` gives up, of whatever epoch. Where the store does not list, objects are asked for by the names
    /// that they have in an archive without gaps.
    private func object(below lsn: LSN) async throws(ArchiveError) -> ObjectKey? {
        let size = log.segmentSize
        // No object crosses a multiple of the segment size.
        func isBelow(_ start: LSN) -> Bool { (start.rawValue / size + 1) * size <= lsn.rawValue }
        if let listed = try await access.list(layout.root) {
            return listed.first { key in if case .object(let object)? = layout.meaning(of: key) { isBelow(object.start) } else { false } }
        }
        guard case .archive(let copy) = source, let line = copy.line else { return nil }
        let places = line.document.epochs.compactMap { entry in entry.start.map { (epoch: entry.epoch, start: $0) } }
        for (index, place) in places.enumerated() {
            let end = index + 1 < places.count ? places[index + 1].start : lsn
            let naming = try await naming(place.epoch)
            var position = place.start
            while position < end, isBelow(position) {
                let next = LSN((position.rawValue / size + 1) * size)
                // An epoch that another one took over may end in tails, or have nothing else.
                let tails = next >= end ? (0...ArchiveLimits.tailLevelMax).map { ObjectMetadata.Kind.tail(level: $0) } : []
                for kind in [.segment] + tails {
                    for key in layout.names(kind, place.epoch, start: position, naming) where try await access.isThere(key) { return key }
                }
                position = next
            }
        }
        return nil
    }

    // MARK: Doing it

    /// Puts it there, if nothing or something damaged still is, and reads it back. Returns false where it has come back meanwhile. Throws `.diverged` for something
    /// else that is whole: nothing was replaced.
    public func put(_ step: Step) async throws(ArchiveError) -> Bool {
        var isWritten = false
        switch try await sight(step) {
        case .asWanted: return false
        case .other(let words): throw somethingElse(step, words)
        case .nothing: isWritten = try await access.create(bytes: step.bytes, step.key)
        case .broken:
            try await access.replace(bytes: step.bytes, step.key)
            isWritten = true
        }
        switch try await sight(step) {
        case .asWanted: return isWritten
        case .other(let words): throw somethingElse(step, words)
        case .nothing, .broken: throw ArchiveError(.damaged, "the store confirmed it and does not return it", outcome: .unknown, key: step.key)
        }
    }

    private func somethingElse(_ step: Step, _ words: String) -> ArchiveError {
        ArchiveError(.diverged, "\(words) came there meanwhile; nothing was replaced", key: step.key, hint: "look who writes this archive, and begin again")
    }

    /// What lies where a step puts something.
    private enum Sight {
        case nothing
        case broken
        /// What the step would put there, however it was compressed or encrypted.
        case asWanted
        /// Something whole, in words.
        case other(String)
    }

    private func sight(_ step: Step) async throws(ArchiveError) -> Sight {
        do throws(ArchiveError) {
            return try await readingAgain { () throws(ArchiveError) -> Sight in
                guard let bytes = try await access.bytes(step.key, limit: ArchiveLimits.objectSizeMax) else { return .nothing }
                if bytes == step.bytes { return .asWanted }
                guard let range = step.range else {
                    if DocumentVersion.isNewer(bytes) { return .other("a document of a newer version") }
                    try check(bytes, step.key)
                    return .other("another document")
                }
                let found = try await open(bytes, step.key, step.start)
                guard case .object(let object)? = layout.meaning(of: step.key) else { preconditionFailure("a step with a range is of an object") }
                let isRight = found.epoch == object.epoch && found.kind == object.kind && found.logID == log.logID && found.archiveID == log.archiveID
                return isRight && found.end == range.upperBound && found.rawDigest == step.digest ? .asWanted : .other("another object")
            }
        } catch {
            switch error.code {
            case .damaged, .invalid: return .broken
            case .refused(status: 0): return .broken
            case .unsupported: return .other("an object of a newer version")
            default: throw error
            }
        }
    }
}
