import Archive
import Synchronization
import WAL

/// Fetches what links of a plan stand for, from their own archive or, where that one fails, from another: the bytes of exactly their ranges. Safe from any task.
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

        fileprivate init(_ part: Part, archive: Int, problems: [RestorePlan.Problem]) {
            (bytes, objects, objectBytes) = part
            self.archive = archive
            self.problems = problems
        }
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

    /// What the link stands for. Nil where it is a tail that is not there any more: its segment is, or should be, and holds what followed the tail as well.
    func fetch(_ link: RestorePlan.Link) async throws(ArchiveError) -> Fetched? {
        var problems: [RestorePlan.Problem] = []
        if !isAway(link.archive) {
            do throws(ArchiveError) {
                if let part = try await planned(link) { return Fetched(part, archive: link.archive, problems: []) }
                if !link.link.isSegment { return nil }
            } catch {
                problems.append(try noted(error, link.archive))
            }
        }
        return try await fetch(link.range, preferring: link.archive, problems: problems)
    }

    /// Its bytes are not needed any more.
    func giveBack(_ fetched: Fetched) { group.readers[fetched.archive].blocks.give(fetched.bytes) }

    /// The bytes of a range, in whatever objects an archive has them. `excluding`: archives whose bytes are known to be bad; `problems`: what was found wrong, with archives that are
    /// not asked again. Throws the first one's error where none has the range.
    func fetch(
        _ range: Range<LSN>, preferring first: Int, excluding: Set<Int> = [], problems: [RestorePlan.Problem] = []
    ) async throws(ArchiveError) -> Fetched {
        var problems = problems
        let bad = excluding.union(problems.map(\.archive))
        let able = ([first] + group.readers.indices.filter { $0 != first }).filter { index in
            !bad.contains(index) && (index == first || group.limits[index].map { $0 >= range.upperBound } ?? true)
        }
        for archive in able.filter({ !isAway($0) }) + able.filter(isAway) {
            do throws(ArchiveError) {
                return Fetched(try await walked(range, archive), archive: archive, problems: problems)
            } catch {
                problems.append(try noted(error, archive))
            }
        }
        throw problems.first?.error ?? ArchiveError(.gap, "no archive has intact bytes here", lsn: range.lowerBound)
    }

    private func isAway(_ archive: Int) -> Bool { away.withLock { $0.contains(archive) } }

    /// Throws where there is nothing left to be asked for.
    private func noted(_ error: ArchiveError, _ archive: Int) throws(ArchiveError) -> RestorePlan.Problem {
        if error.code == .cancelled { throw error }
        if error.isOfTheStore { away.withLock { _ = $0.insert(archive) } }
        return RestorePlan.Problem(archive: archive, error: error)
    }

    fileprivate typealias Part = (bytes: [UInt8], objects: Int, objectBytes: UInt64)

    /// Nil where it is not there, or not as it was planned.
    private func planned(_ link: RestorePlan.Link) async throws(ArchiveError) -> Part? {
        let reader = group.readers[link.archive]
        guard let content = try await reader.object(link.link.identity, isEncrypted: link.link.isEncrypted, link.link.source, .whole),
            content.metadata.end == link.link.objectEnd
        else { return nil }
        return (reader.piece(link.link, content).bytes, 1, content.metadata.objectSize)
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
