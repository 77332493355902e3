import Archive
import Logging
import WAL

/// Removes local bytes that are archived and have settled: looks at the claim and once more at each object of theirs, says in the slot that they may
/// go, and has the log remove what no other slot holds.
///
/// An object that has gone, or has another size, is shipped again from the log before anything local goes. One request a segment where this run made
/// the object; two after a restart, when the object is asked for its size.
struct ShippedTruncation: Sendable {
    /// Local bytes that go; all below was looked at before.
    let range: Range<LSN>
    let objectsStart: LSN
    /// Of objects that this run made.
    let sizes: [LSN: UInt64]
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
        do throws(ArchiveError) {
            if object.epoch == session.epoch, let size = sizes[start] {
                for key in access.layout.names(.segment, object.epoch, start: start, session.naming) {
                    if try await access.retrying({ () throws(ArchiveError) in try await access.store.head(key) })?.size == size { return true }
                }
                return false
            }
            return try await access.metadata(.segment, object.epoch, start: start, try await naming(of: object))?.end == object.range.upperBound
        } catch {
            throw .archive(error)
        }
    }

    private func naming(of object: ArchivedSegment) async throws(ArchiveError) -> ObjectNaming {
        object.epoch == session.epoch ? session.naming : try await access.naming(object.epoch)
    }

    private func shipAgain(_ object: ArchivedSegment) async throws(ShipperError) {
        let key = access.layout.names(.segment, object.epoch, start: object.range.lowerBound, session.naming)[0]
        board.alarm()
        logger.error(
            "an object that was acknowledged is gone, or of another size now; nothing local was removed",
            metadata: ["object": "\(key.path)", "lsn": "\(object.range.lowerBound)"])
        guard object.epoch == session.epoch else {
            throw .archive(ArchiveError(
                .gap, "an object that an earlier epoch archived is gone, or of another size now; nothing local was removed", key: key,
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
