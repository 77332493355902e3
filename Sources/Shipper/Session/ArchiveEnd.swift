import Archive
import WAL

/// How far one epoch can be read in an archive without a hole, by names and metadata alone: segments, then tails, across gaps that are recorded.
struct ArchiveEnd {
    let access: ArchiveAccess
    let segmentSize: UInt64

    struct Found {
        /// Up to here it can be read.
        var end: LSN
        /// Up to here in segments and gaps.
        var segmentsEnd: LSN
        /// The last segment that was met; nil where there was none from the start of the walk on.
        var lastSegment: ObjectMetadata?
        /// The last gap that was met.
        var lastGap: Range<LSN>?
    }

    /// `known`: below it, at or past `start`, all is there.
    func find(_ epoch: EpochName, from start: LSN, known: LSN, _ naming: ObjectNaming) async throws(ArchiveError) -> Found {
        var found = Found(end: max(start, known), segmentsEnd: max(start, known))
        while true {
            if let segment = try await segment(epoch, from: start, found, naming) {
                found.lastSegment = segment
                (found.end, found.segmentsEnd) = (segment.end, segment.end)
                continue
            }
            var tail: LSN?
            for level in (0...ShipperLimits.tailLevelMax).reversed() where tail == nil {
                tail = try await access.metadata(.tail(level: level), epoch, start: found.end, naming)?.end
            }
            if let tail, tail > found.end {
                found.end = tail
                continue
            }
            let key = access.layout.gap(epoch, start: found.end)
            guard let gap = try await access.document(GapDocument.self, key), gap.start == found.end, gap.end > gap.start else { return found }
            (found.end, found.segmentsEnd, found.lastGap) = (gap.end, gap.end, gap.start..<gap.end)
        }
    }

    /// The segment that holds what comes next. What is known may end inside one, and where a gap ended is then not known: one may begin exactly there.
    private func segment(_ epoch: EpochName, from start: LSN, _ found: Found, _ naming: ObjectNaming) async throws(ArchiveError) -> ObjectMetadata? {
        let begin = max(LSN(found.end.rawValue / segmentSize * segmentSize), start, found.lastGap?.upperBound ?? .zero)
        for name in Set([begin, found.end]).sorted() {
            if let segment = try await access.metadata(.segment, epoch, start: name, naming), segment.end > found.end { return segment }
        }
        return nil
    }
}
