import Archive
import Logging
import WAL

/// Removes local bytes that are archived and have settled: looks at the claim and once more at each object of theirs, says in the slot that they may
/// go, and has the log remove what no other slot holds.
///
/// An object that has gone, or is another than the one that was archived, is shipped again from the log before anything local goes. The look takes two requests a
/// segment: the size, and the metadata frame, which has a checksum of its own and names size and checksum of the whole object and the digest of its content. They are compared
/// with what was archived where this run made the object, else with the log's bytes. The content is not fetched: what changes there later, and leaves the size as it is,
/// is for `verify` to find.
struct ShippedTruncation: Sendable {
    /// Local bytes that go; all below was looked at before.
    let range: Range<LSN>
    let objectsStart: LSN
    /// Objects that this run made.
    let made: [LSN: Made]
    let session: ShipSession
    let slot: DestinationSlot
    let sidecar: LogSidecar
    let access: ArchiveAccess
    let publisher: Publisher
    let claims: Claims
    let preparation: ObjectPreparation
    let worker: LogWorker
    let board: StatusBoard
    let logger: Logger

    /// What is remembered of an object that was archived.
    struct Made: Hashable, Sendable {
        private let size: UInt64
        private let checksum: UInt32

        init(_ metadata: ObjectMetadata) {
            size = metadata.objectSize
            checksum = metadata.checksum
        }
    }

    private var segmentSize: UInt64 { UInt64(sidecar.reader.segmentSize) }

    /// On return the local head lies at or below the range's end: as far as slots and record boundaries allow.
    func run() async throws(ShipperError) {
        for object in objects { try await look(at: object) }
        // Last, so that nothing comes between it and the truncation.
        try await requireOurs()
        let (slot, sidecar, end) = (slot, sidecar, range.upperBound)
        let head = try await worker.run(.light) { () throws(WALError) in
            try slot.update { $0.released = max($0.released, end) }
            // Truncation goes by the lower half of the slot, so both are to say the same.
            try slot.settle()
            return try sidecar.truncateBefore(end)
        }
        logger.debug("truncated", metadata: ["head": "\(head)"])
    }

    private func requireOurs() async throws(ShipperError) {
        do throws(ArchiveError) {
            if let error = FencingLook.error(try await claims.look(session.epoch), session.epoch, access.layout) { throw error }
        } catch {
            throw .archive(error)
        }
    }

    private struct ArchivedSegment {
        var epoch: EpochName
        var range: Range<LSN>
    }

    /// The objects of the local segments that are about to go. Not among them: what an ancestor may have left in tails only, because its last segment
    /// was never closed, and what was never in this archive.
    private var objects: [ArchivedSegment] {
        var objects: [ArchivedSegment] = []
        var start = LSN(range.lowerBound.rawValue / segmentSize * segmentSize)
        while start.rawValue + segmentSize <= range.upperBound.rawValue {
            let end = start.advanced(by: segmentSize)
            for (index, place) in session.line.enumerated() {
                let isLast = index + 1 == session.line.count
                let begin = max(start, place.start, isLast ? objectsStart : .zero)
                let isWhole = isLast || session.line[index + 1].start >= end
                if begin < end, isWhole { objects.append(ArchivedSegment(epoch: place.epoch, range: begin..<end)) }
            }
            start = end
        }
        return objects
    }

    private func look(at object: ArchivedSegment) async throws(ShipperError) {
        for _ in 0..<ArchiveLimits.damagedReads {
            if try await isThere(object) { return }
            // One reply may be wrong.
        }
        if try await isPruned(object.range) { return }
        try await shipAgain(object)
    }

    private func isThere(_ object: ArchivedSegment) async throws(ShipperError) -> Bool {
        let start = object.range.lowerBound
        let found: ObjectMetadata
        do throws(ArchiveError) {
            guard let there = try await metadata(of: object) else { return false }
            guard there.end == object.range.upperBound, there.epoch == object.epoch, there.logID == session.logID else { return false }
            if object.epoch == session.epoch, let made = made[start] { return Made(there) == made }
            found = there
        } catch {
            throw .archive(error)
        }
        return try await isOfTheLog(found)
    }

    /// Answers that make no sense, however often it is read, are waited out as a store is that cannot be reached: nothing local goes meanwhile, and shipping goes on.
    private func metadata(of object: ArchivedSegment) async throws(ArchiveError) -> ObjectMetadata? {
        var patience = access.patience()
        while true {
            do throws(ArchiveError) {
                return try await access.metadata(.segment, object.epoch, start: object.range.lowerBound, try await naming(of: object))
            } catch where error.code == .invalid {
                try await patience.wait(after: ArchiveError(.unreachable, error.message, key: error.key, lsn: error.lsn, hint: error.hint))
            }
        }
    }

    /// Whether the digest of what is there is that of the log's bytes. Where the log has a part of them only, or the key is not at hand, it cannot be told, and counts as the same.
    private func isOfTheLog(_ found: ObjectMetadata) async throws(ShipperError) -> Bool {
        let (reader, keys, logID) = (sidecar.reader, session.keys, session.logID)
        return try await worker.run(.heavy) { () throws(WALError) in
            guard try reader.headLSN <= found.start else { return true }
            let digest = keys.digest(of: try reader.verifiedRange(found.start..<found.end).bytes, log: logID, under: found.seal?.keyID)
            return digest.map { $0 == found.rawDigest } ?? true
        }
    }

    private func naming(of object: ArchivedSegment) async throws(ArchiveError) -> ObjectNaming {
        object.epoch == session.epoch ? session.naming : try await access.naming(object.epoch)
    }

    private func shipAgain(_ object: ArchivedSegment) async throws(ShipperError) {
        let key = access.layout.names(.segment, object.epoch, start: object.range.lowerBound, session.naming)[0]
        board.alarm()
        logger.error(
            "an object that was acknowledged is gone, or another one now; nothing local was removed",
            metadata: ["object": "\(key.path)", "lsn": "\(object.range.lowerBound)"])
        guard object.epoch == session.epoch else {
            throw .archive(ArchiveError(
                .gap, "an object that an earlier epoch archived is gone, or another one now; nothing local was removed", key: key,
                lsn: object.range.lowerBound, hint: "bring it back from another copy of the archive"))
        }
        let (preparation, session, range, preceding) = (preparation, session, object.range, try await precedingDigest(of: object))
        let encoded = try await worker.perform(.heavy) { () throws(ShipperError) in
            try preparation.prepare(range, kind: .segment, session: session, preceding: preceding)
        }
        do throws(ArchiveError) {
            _ = try await publisher.publish(encoded)
        } catch {
            throw .archive(error)
        }
        try await requireOurs()
        board.archived(encoded)
        logger.warning("shipped again from the log", metadata: ["object": "\(key.path)", "lsn": "\(range.lowerBound)"])
    }

    /// Objects are looked at in order, so the one before is there, if it ever was.
    private func precedingDigest(of object: ArchivedSegment) async throws(ShipperError) -> Bytes16? {
        let start = object.range.lowerBound
        guard start > objectsStart else { return nil }
        let before = max(objectsStart, LSN((start.rawValue - 1) / segmentSize * segmentSize))
        do throws(ArchiveError) {
            return try await access.metadata(.segment, object.epoch, start: before, try await naming(of: object))?.rawDigest.bytes
        } catch {
            throw .archive(error)
        }
    }
}
