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

    private let reader: ArchiveReader
    private let source: MendingSource
    private let keys: KeyRing
    private var layout: Layout { reader.layout }
    private var access: ArchiveAccess { reader.access }

    /// `keys` open what is encrypted, and encrypt it again with the key that it had. Throws `.diverged` where the source is of another log.
    public init(_ reader: ArchiveReader, from source: MendingSource) throws(ArchiveError) {
        guard source.logID == reader.log.logID else {
            throw ArchiveError(.diverged, "\(source.name) is of log \(source.logID), the archive of \(reader.log.logID)", key: reader.layout.logDocument)
        }
        self.reader = reader
        self.source = source
        keys = reader.keys
    }

    /// What can be brought back of what an audit has found, one after another, and what cannot. One object is in memory at a time: `take` is told of each
    /// step, and does it (`put`) or not. Ascending, so that an object finds the one before it mended.
    public func mend(
        _ findings: [AuditFinding], _ take: (Step) async throws -> Void, _ obstacle: (Obstacle) throws -> Void
    ) async throws {
        for finding in findings where finding.object == nil && finding.lsn == nil {
            guard finding.kind == .damage || finding.kind == .missing, let key = finding.key else { continue }
            switch await result({ () throws(ArchiveError) in try await document(key) }) {
            case .success(let step): try await take(step)
            case .failure(let error): try refuse(error, Obstacle(key: key, lsn: nil, reason: error.message), obstacle)
            }
        }
        for lost in lostObjects(findings) {
            switch await result({ () throws(ArchiveError) in try await step(lost) }) {
            case .success(let step): try await take(step)
            case .failure(let error): try refuse(error, Obstacle(key: layout.key(lost), lsn: lost.start, reason: error.message), obstacle)
            }
        }
    }

    private func result(_ body: () async throws(ArchiveError) -> Step) async -> Result<Step, ArchiveError> {
        do throws(ArchiveError) {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }

    /// A store that fails says nothing about the object.
    private func refuse(_ error: ArchiveError, _ what: Obstacle, _ obstacle: (Obstacle) throws -> Void) throws {
        guard ArchiveMending.isObstacle(error) else { throw error }
        try obstacle(what)
    }

    private static func isObstacle(_ error: ArchiveError) -> Bool {
        switch error.code {
        case .notFound, .gap, .endUnproven, .keyMissing: true
        default: AuditChain.isFault(error)
        }
    }

    /// Damaged ones by their names; of what is missing, the segments that would hold it.
    private func lostObjects(_ findings: [AuditFinding]) -> [ArchivedObject] {
        var lost: [ArchivedObject] = []
        let size = reader.log.segmentSize
        for finding in findings {
            if finding.kind == .damage, let object = finding.object { lost.append(object) }
            guard finding.kind == .missing, let begin = finding.lsn, let end = finding.end, let source = reader.line?.source(at: begin) else { continue }
            var position = begin
            while position < end {
                lost.append(ArchivedObject(epoch: source.epoch, kind: .segment, start: position, isEncrypted: false))
                position = LSN((position.rawValue / size + 1) * size)
            }
        }
        return lost.sorted { ($0.start, $0.epoch.number) < ($1.start, $1.epoch.number) }
    }

    // MARK: Objects

    private func step(_ lost: ArchivedObject) async throws(ArchiveError) -> Step {
        guard let start = try await access.document(StartDocument.self, layout.start(lost.epoch.number)), start.epoch.epoch == lost.epoch,
            let epochStart = start.epoch.start
        else { throw ArchiveError(.notFound, "start.json of its epoch is needed first") }
        let names = try await reader.naming(lost.epoch)
        let forms = names.forms(start: lost.start)
        // Its own beginning may have stayed whole.
        let own = try await header(lost)
        guard let end = end(lost, own) else { throw ArchiveError(.notFound, "where it ended is not known: its metadata is damaged as well") }
        let range = lost.start..<end
        let successor = try await neighbour(lost, at: end, names)
        guard let proof = successor?.precedingDigest ?? own?.rawDigest else {
            throw ArchiveError(.notFound, "nothing says what was in it: there is no object behind it yet, and its own metadata is damaged or missing")
        }
        if source.isCopy(of: reader.log.archiveID) {
            for isEncrypted in forms {
                let object = ArchivedObject(epoch: lost.epoch, kind: lost.kind, start: lost.start, isEncrypted: isEncrypted)
                if let bytes = try await verbatim(object, proof) { return try await made(object, range, proof, bytes) }
            }
        }
        guard let part = try await source.part(range) else {
            throw ArchiveError(.notFound, "\(source.name) does not have LSN \(range.lowerBound) to \(range.upperBound) in one piece")
        }
        let (digest, key) = try key(for: part.raw, proof)
        let preceding = try await preceding(lost, epochStart, names, own)
        let metadata = ObjectMetadata(
            kind: lost.kind, logID: reader.log.logID, archiveID: reader.log.archiveID, epoch: lost.epoch, epochStart: epochStart, start: range.lowerBound,
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

    /// The metadata of what lies at the lost object's name, where that part of it is whole.
    private func header(_ lost: ArchivedObject) async throws(ArchiveError) -> ObjectMetadata? {
        do throws(ArchiveError) {
            let found = try await metadata(lost)
            return found.flatMap { $0.epoch == lost.epoch && $0.kind == lost.kind && $0.archiveID == reader.log.archiveID ? $0 : nil }
        } catch where AuditChain.isFault(error) {
            return nil
        }
    }

    private func metadata(_ object: ArchivedObject) async throws(ArchiveError) -> ObjectMetadata? {
        let key = layout.key(object)
        guard let prefix = try await access.bytes(key, range: 0..<UInt64(ObjectDecoder.prefixSize), limit: ArchiveLimits.objectSizeMax) else { return nil }
        if let found = try ObjectDecoder.metadata(prefix: prefix, key: key, start: object.start) { return found }
        guard let bytes = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
        return try ObjectDecoder.metadata(prefix: bytes, key: key, start: object.start)
    }

    private func end(_ lost: ArchivedObject, _ own: ObjectMetadata?) -> LSN? {
        if let own { return own.end }
        guard lost.kind == .segment else { return nil }
        let size = reader.log.segmentSize
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
        let size = reader.log.segmentSize
        let before = max(epochStart, LSN((lost.start.rawValue - 1) / size * size))
        return try await neighbour(ArchivedObject(epoch: lost.epoch, kind: .segment, start: before, isEncrypted: false), at: before, names)?.rawDigest
    }

    /// With which key the raw bytes have the digest that is asked for.
    private func key(for raw: [UInt8], _ proof: RawDigest) throws(ArchiveError) -> (RawDigest, MasterKey?) {
        let plain = RawDigest(of: raw)
        if plain == proof { return (plain, nil) }
        if let key = keys.all.first(where: { keys.digest(plain, log: reader.log.logID, under: $0.id) == proof }) { return (proof, key) }
        throw ArchiveError(
            .diverged, "\(source.name) has other bytes there: their digest is \(plain), and \(proof) was archived\(keys.isEmpty ? ", or is encrypted with a key that was not given" : "")")
    }

    // MARK: Documents

    /// A document of a copy, as it stands there.
    private func document(_ key: ObjectKey) async throws(ArchiveError) -> Step {
        guard source.isCopy(of: reader.log.archiveID) else { throw ArchiveError(.notFound, "documents are taken from a copy of this very archive only") }
        switch layout.meaning(of: key) {
        case .claim, .start, .encryption, .gap, .floor: break
        default: throw ArchiveError(.notFound, "it is not brought back: a head is written anew by whoever ships; log.json says whose archive this is, and only you know")
        }
        guard let bytes = try await source.bytes(key, limit: ArchiveLimits.startDocumentSizeMax) else {
            throw ArchiveError(.notFound, "\(source.name) does not have it")
        }
        try check(bytes, key)
        if key == layout.floor { try await requireObject(of: try FloorDocument(decoding: bytes, key: key)) }
        return Step(key: key, range: nil, digest: nil, isMissing: try await !access.isThere(key), bytes: bytes, start: .zero)
    }

    private func check(_ bytes: [UInt8], _ key: ObjectKey) throws(ArchiveError) {
        let isRight: Bool
        switch layout.meaning(of: key) {
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
        for key in layout.names(.segment, floor.epoch, start: floor.objectStart, try await reader.naming(floor.epoch)) {
            if try await access.isThere(key) { return }
        }
        throw ArchiveError(.notFound, "\(source.name) begins at LSN \(floor.lsn), and the object that holds it is not here")
    }

    // MARK: Doing it

    /// Puts it there, if nothing or something damaged still is, and reads it back. Returns false where it is intact by now.
    public func put(_ step: Step) async throws(ArchiveError) -> Bool {
        if try await isIntact(step) { return false }
        if try await access.isThere(step.key) {
            try await access.replace(bytes: step.bytes, step.key)
        } else {
            guard try await access.create(bytes: step.bytes, step.key) else { return try await put(again: step) }
        }
        guard try await access.bytes(step.key, limit: ArchiveLimits.objectSizeMax) == step.bytes else {
            throw ArchiveError(.damaged, "the store confirmed it and does not return it", outcome: .unknown, key: step.key)
        }
        return true
    }

    /// Somebody has put something there meanwhile.
    private func put(again step: Step) async throws(ArchiveError) -> Bool {
        if try await isIntact(step) { return false }
        throw ArchiveError(.diverged, "something else came there meanwhile; nothing was replaced", key: step.key, hint: "look who writes this archive, and begin again")
    }

    private func isIntact(_ step: Step) async throws(ArchiveError) -> Bool {
        do throws(ArchiveError) {
            return try await readingAgain { () throws(ArchiveError) -> Bool in
                guard let bytes = try await access.bytes(step.key, limit: ArchiveLimits.objectSizeMax) else { return false }
                if step.range == nil { try check(bytes, step.key) } else { _ = try await open(bytes, step.key, step.start) }
                return true
            }
        } catch where error.code == .damaged || error.code == .invalid {
            return false
        }
    }
}
