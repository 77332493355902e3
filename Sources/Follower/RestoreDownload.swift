import Archive
import Synchronization
import WAL

/// Fetches what a link of a plan stands for, from its own archive or, where that one fails, from another: the bytes of exactly its range. Safe from any task.
final class RestoreDownload: Sendable {
    struct Fetched: Sendable {
        let bytes: [UInt8]
        /// Where they came from.
        let archive: Int
        /// Objects, and their bytes as they were downloaded.
        let objects: Int
        let objectBytes: UInt64
        /// What was wrong before they were found.
        let problems: [RestorePlan.Problem]
    }

    private let group: ArchiveGroup
    /// Archives that could not be reached: asked last.
    private let away = Mutex<Set<Int>>([])

    /// Where a gap ends that was crossed: an object may begin there.
    private let gapEnd: LSN?

    init(_ group: ArchiveGroup, gapEnd: LSN?) {
        self.group = group
        self.gapEnd = gapEnd
    }

    /// `excluding`: archives whose bytes are known to be bad. Throws the first archive's error where none has the range.
    func fetch(_ link: RestorePlan.Link, excluding: Set<Int> = []) async throws(ArchiveError) -> Fetched {
        let others = group.readers.indices.filter { index in
            index != link.archive && group.limits[index].map { $0 >= link.range.upperBound } ?? true
        }
        let known = away.withLock { $0 }
        let order = ([link.archive] + others).filter { !excluding.contains($0) }
        var problems: [RestorePlan.Problem] = []
        for archive in order.filter({ !known.contains($0) }) + order.filter({ known.contains($0) }) {
            do throws(ArchiveError) {
                let found = try await archive == link.archive ? planned(link) : walked(link.range, archive)
                return Fetched(
                    bytes: found.bytes, archive: archive, objects: found.objects, objectBytes: found.objectBytes, problems: problems)
            } catch {
                if error.code == .cancelled { throw error }
                if error.isOfTheStore { away.withLock { _ = $0.insert(archive) } }
                problems.append(RestorePlan.Problem(archive: archive, error: error))
            }
        }
        throw problems.first?.error ?? ArchiveError(.gap, "no archive has intact bytes here", lsn: link.range.lowerBound)
    }

    /// Its bytes are not needed any more.
    func giveBack(_ fetched: Fetched) { group.readers[fetched.archive].blocks.give(fetched.bytes) }

    private typealias Part = (bytes: [UInt8], objects: Int, objectBytes: UInt64)

    private func planned(_ link: RestorePlan.Link) async throws(ArchiveError) -> Part {
        let reader = group.readers[link.archive]
        if let content = try await reader.object(link.link.identity, isEncrypted: link.link.isEncrypted, link.link.source, .whole),
            content.metadata.end == link.link.objectEnd
        {
            return (reader.piece(link.link, content).bytes, 1, content.metadata.objectSize)
        }
        // A tail goes when its segment is there, and what was planned is in that.
        return try await walked(link.range, link.archive)
    }

    /// The bytes of a range in whatever objects an archive has it.
    private func walked(_ range: Range<LSN>, _ archive: Int) async throws(ArchiveError) -> Part {
        var part: Part = ([], 0, 0)
        var walk = try group.readers[archive].walk(from: range.lowerBound, gapEnd: gapEnd)
        while walk.position < range.upperBound {
            let position = walk.position
            guard let piece = try await walk.next() else {
                throw ArchiveError(
                    .gap, "nothing is archived here any more, or yet", lsn: position, hint: "look whether something deletes objects from the archive")
            }
            let used = piece.range.clamped(to: range)
            guard !used.isEmpty else { continue }
            guard used.lowerBound == range.lowerBound.advanced(by: UInt64(part.bytes.count)) else {
                throw ArchiveError(.gap, "an object is missing: nothing is archived here, although the archive goes on", lsn: range.lowerBound)
            }
            let offset = Int(used.lowerBound.distance(from: piece.range.lowerBound))
            part.bytes += piece.bytes[offset..<offset + Int(used.upperBound.distance(from: used.lowerBound))]
            part.objects += 1
            part.objectBytes += piece.metadata.objectSize
        }
        return part
    }
}
