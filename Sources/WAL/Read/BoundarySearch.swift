/// Finds record and batch boundaries near an LSN, walking frames from the nearest place where one is known to begin.
struct BoundarySearch {
    let reader: any LogBytesReader
    let checksums: FrameChecksums
    let maxRecordSize: Int
    let segmentSize: UInt64
    /// A record and batch boundary.
    let head: LSN
    /// A record and batch boundary.
    let durable: LSN

    /// The greatest record and batch boundary at or below `target`; `target` lies in `head...durable`.
    /// Damage on the way is `.corruption`.
    func greatestBoundary(atOrBelow target: LSN) throws(WALError) -> LSN {
        try walk(to: target, batchesOnly: true)
    }

    /// The greatest position at or below `target` where a frame begins (or the durable end).
    func greatestFrameStart(atOrBelow target: LSN) throws(WALError) -> LSN {
        try walk(to: target, batchesOnly: false)
    }

    private func walk(to target: LSN, batchesOnly: Bool) throws(WALError) -> LSN {
        precondition(target >= head, "a boundary below the head")
        if target >= durable { return durable }
        var index = target.rawValue / segmentSize
        while true {
            let first = index * segmentSize <= head.rawValue ? head : try reader.firstFrame(inSegment: index)
            if let first, first >= head, first <= target,
                let found = try walk(from: first, to: target, batchesOnly: batchesOnly)
            {
                return found
            }
            precondition(index * segmentSize > head.rawValue, "the head is a boundary")
            index -= 1
        }
    }

    /// Nil where no boundary of the wanted kind was seen: the walk began inside a batch.
    private func walk(from first: LSN, to target: LSN, batchesOnly: Bool) throws(WALError) -> LSN? {
        let cursor = FrameCursor(
            reader: reader, checksums: checksums, maxRecordSize: maxRecordSize, position: first, limit: durable,
            readSize: 64 << 10)
        // Only the head is known to begin a batch.
        var boundary: LSN? = first == head || !batchesOnly ? first : nil
        while cursor.position < target {
            switch try cursor.next() {
            case .record(let record):
                if record.endLSN <= target && !(batchesOnly && record.continuesBatch) { boundary = record.endLSN }
            case .end: return boundary
            case .fault(let fault): throw .corruption(lsn: cursor.position, reason: fault.reason)
            }
        }
        return boundary
    }
}
