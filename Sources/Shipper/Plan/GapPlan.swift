import WAL

/// Which documents say in the archive that a range was given up: a value.
///
/// Uploads that were under way when it was given up may have arrived, or arrive at any later time. So there is a document at each place to which a
/// reader may come: at the range's start, and where each object ends that may be there. Each leads to the next object that is known to be
/// there, or to the range's end. Invariant, tested over all late arrivals: a reader that comes to the start comes to the end by objects and documents alone.
struct GapPlan: Sendable {
    let range: Range<LSN>
    /// Where objects may begin that were under way, ascending, each with its end: none reaches past a multiple of the segment size.
    let candidates: [Candidate]

    struct Candidate: Hashable, Sendable {
        enum Kind: Hashable, Sendable { case segment, tail }
        var kind: Kind
        var range: Range<LSN>
    }

    /// `inFlight` is the level-0 tail that was under way, `segmentsStarted` the end of the last segment whose upload was begun, `objectsStart` where
    /// the objects begin between which and the range nothing is missing.
    init(
        _ range: Range<LSN>, inFlight: Range<LSN>?, segmentsStarted: LSN?, objectsStart: LSN, segmentSize: UInt64
    ) {
        self.range = range
        var candidates: [Candidate] = []
        if let inFlight, inFlight.lowerBound == range.lowerBound { candidates.append(Candidate(kind: .tail, range: inFlight)) }
        let size = segmentSize
        var start = max(LSN(range.lowerBound.rawValue / size * size), objectsStart)
        let limit = min(segmentsStarted ?? .zero, range.upperBound)
        while start < limit {
            let end = LSN((start.rawValue / size + 1) * size)
            candidates.append(Candidate(kind: .segment, range: start..<end))
            start = end
        }
        self.candidates = candidates
    }

    /// `present` are those of the candidates that are there.
    func documents(present: [Candidate]) -> [Range<LSN>] {
        let ends = candidates.map(\.range.upperBound).filter { $0 < range.upperBound }
        let starts = Set([range.lowerBound] + ends).sorted()
        return starts.compactMap { start -> Range<LSN>? in
            // A reader that comes here finds the object before any document.
            if present.contains(where: { isFound($0, at: start) }) { return nil }
            let next = present.map(\.range.lowerBound).filter { $0 > start }.min() ?? range.upperBound
            return start..<next
        }
    }

    private func isFound(_ object: Candidate, at lsn: LSN) -> Bool {
        switch object.kind {
        case .segment: object.range.contains(lsn)
        case .tail: object.range.lowerBound == lsn
        }
    }
}
