/// New bytes for neighbouring segments of a log: verified in memory, then written to fresh files that take the old ones' places.
///
/// Changes nothing before every frame with a byte in the segments has verified, those that cross into a neighbour whole, and has been
/// compared with what the old files still hold.
struct SegmentReplacement {
    /// What is given for one segment: nothing where its own bytes are kept and only its foot is made anew.
    struct Piece {
        var index: UInt64
        var start: LSN
        var bytes: [UInt8]
        var end: LSN { start.advanced(by: UInt64(bytes.count)) }
    }

    let directory: SegmentDirectory
    let facts: Facts
    let epochs: EpochTable
    /// Everything below is needed.
    let floor: LSN
    /// Goes into the new feet: everything below is durable.
    let cell: SegmentFoot.DurableCell

    private var size: UInt64 { directory.windowSize }

    /// Neighbours, verified.
    struct Verified {
        fileprivate var contents: [UInt64: [UInt8]]
        /// Where the first frame of each begins; nil in it: none does.
        fileprivate var firstFrames: [UInt64: LSN?] = [:]
        fileprivate(set) var report: RepairReport
    }

    /// `pieces` are of neighbouring segments, ascending.
    func verify(_ pieces: [Piece]) throws(WALError) -> Verified {
        var verified = Verified(contents: [:], report: RepairReport(segments: []))
        for piece in pieces { try lay(piece, into: &verified) }
        let start = try walk(pieces, &verified)
        try compare(from: start, pieces, verified.contents)
        return verified
    }

    /// The old bytes of the segment, with the given ones over them.
    private func lay(_ piece: Piece, into verified: inout Verified) throws(WALError) {
        var old = [UInt8](repeating: 0, count: Int(size))
        let reader = RepairReader(directory: directory)
        _ = unsafe try old.withMutableBytes { buffer throws(WALError) in
            try unsafe reader.read(into: buffer, at: LSN(piece.index * size))
        }
        let path = directory.paths.segment(piece.index)
        let isMissing = try directory.fileSystem.status(path) == nil
        var new = old
        let offset = Int(piece.start.rawValue - piece.index * size)
        new.replaceSubrange(offset..<offset + piece.bytes.count, with: piece.bytes)
        let changed = isMissing ? piece.bytes.count : zip(old, new).count { $0 != $1 }
        verified.contents[piece.index] = new
        verified.report.segments.append(
            RepairReport.Segment(
                index: piece.index, path: path, given: piece.start..<piece.end, bytesChanged: UInt64(changed),
                wasMissing: isMissing))
    }

    /// Verifies every frame that has a byte in the segments; returns where the first of them begins.
    private func walk(_ pieces: [Piece], _ verified: inout Verified) throws(WALError) -> LSN {
        let first = pieces[0].index
        let behind = LSN((pieces[pieces.count - 1].index + 1) * size)
        let needed = min(floor, behind)
        let wanted = max(needed, pieces[pieces.count - 1].end)
        let limit = LSN(max(behind.rawValue, ((try directory.windows().last ?? 0) + 1) * size))
        let reader = RepairReader(directory: directory, contents: verified.contents)
        let checksums = FrameChecksums(logID: facts.logID, epochs: epochs)
        let start = try BoundarySearch(
            reader: reader, checksums: checksums, maxRecordSize: facts.maxRecordSize, segmentSize: size, head: facts.head,
            durable: limit
        ).greatestFrameStart(atOrBelow: max(facts.head, LSN(first * size)))
        let cursor = FrameCursor(
            reader: reader, checksums: checksums, maxRecordSize: facts.maxRecordSize, position: start, limit: limit)
        var begun: [UInt64: LSN] = [:]
        frames: while true {
            let position = cursor.position
            if begun[position.rawValue / size] == nil { begun[position.rawValue / size] = position }
            guard position < wanted else { break }
            switch try cursor.next() {
            case .record: continue
            case .end: break frames
            case .fault(let fault):
                // Past what is needed, a frame may end behind what was given.
                if position >= needed, try cursor.claimedEnd().map({ $0 > wanted }) ?? (wanted.distance(from: position) < 8) { break frames }
                throw .corruption(lsn: position, reason: "\(fault.reason), with the given bytes in their place")
            }
        }
        guard cursor.position >= needed else {
            throw .corruption(lsn: cursor.position, reason: "the given bytes end before LSN \(needed), up to where they are needed")
        }
        for piece in pieces {
            if let lsn = begun[piece.index] {
                verified.firstFrames[piece.index] = .some(lsn)
            } else if LSN((piece.index + 1) * size) <= cursor.position {
                verified.firstFrames[piece.index] = .some(nil)
            }
        }
        return start
    }

    /// Every intact record that the old files hold in the segments must be what was given: where it is not, that is another history.
    private func compare(from start: LSN, _ pieces: [Piece], _ contents: [UInt64: [UInt8]]) throws(WALError) {
        let behind = LSN((pieces[pieces.count - 1].index + 1) * size)
        let (directory, facts) = (directory, facts)
        let source = RecordSource(
            makeReader: { () throws(WALError) in RepairReader(directory: directory) },
            checksums: FrameChecksums(logID: facts.logID, epochs: epochs), maxRecordSize: facts.maxRecordSize, segmentSize: size,
            policy: .skipBadRecords)
        let end = LSN(max(behind.rawValue, ((try directory.windows().last ?? 0) + 1) * size))
        for element in RecordSequence(source: source, start: .success(start), end: end) {
            switch element {
            case .success(let record):
                if record.lsn >= behind { return }
                guard isSame(record, contents) else {
                    throw .corruption(
                        lsn: record.lsn, reason: "the log has an intact record here, and the given bytes have another: they are of another history")
                }
            case .failure(.corruption(let lsn, _)):
                if lsn >= behind { return }
            case .failure(let error): throw error
            }
        }
    }

    /// Whether length and payload are what stands there now; with them the checksum is, as both verify.
    private func isSame(_ record: Record, _ contents: [UInt64: [UInt8]]) -> Bool {
        let field = FrameHeader.lengthField(payloadCount: record.count, continuesBatch: record.continuesBatch)
        let bytes = FrameHeader(checksum: 0, lengthField: field).bytes[4...] + record.data
        var position = record.lsn.advanced(by: 4).rawValue
        var rest = bytes[...]
        while !rest.isEmpty {
            let index = position / size
            let offset = Int(position - index * size)
            let part = rest.prefix(Int(size) - offset)
            if let new = contents[index], new[offset..<offset + part.count] != part { return false }
            position += UInt64(part.count)
            rest = rest.dropFirst(part.count)
        }
        return true
    }

    /// Writes the segments to fresh files, syncs them, and has them take the places of the old ones, durably. `publish` is called before the first
    /// does. On an error some may have taken their places: each is whole, old or new.
    func write(_ verified: Verified, publish: () -> Void) throws(WALError) {
        let indices = verified.contents.keys.sorted()
        do throws(WALError) {
            for index in indices { try writeFresh(index, verified) }
        } catch {
            // Best effort: the next opening removes what is left.
            for index in indices { try? directory.fileSystem.unlink(temporary(index)) }
            throw error
        }
        publish()
        for index in indices { try directory.fileSystem.rename(temporary(index), to: directory.paths.segment(index)) }
        try directory.fileSystem.syncDirectory(directory.paths.directory)
    }

    private func temporary(_ index: UInt64) -> String { directory.paths.segment(index) + ".tmp" }

    private func writeFresh(_ index: UInt64, _ verified: Verified) throws(WALError) {
        guard let bytes = verified.contents[index] else { preconditionFailure("a segment that was verified") }
        let header = SegmentFoot.Header(logID: directory.logID, index: index, segmentSize: size)
        try directory.fileSystem.unlink(temporary(index))
        let file = try directory.fileSystem.open(temporary(index), .createNew)
        defer { file.close() }
        try file.allocate(offset: 0, length: size + UInt64(SegmentFoot.size))
        try file.write(bytes, at: 0)
        try file.write(SegmentFoot.encodeFresh(header), at: size)
        let foot = FootWriter(file: file, offset: size, header: header, keepsFirstFrame: true)
        if let first = verified.firstFrames[index] { try foot.writeFirstFrame(first) }
        try foot.writeCell(cell)
        try file.sync()
    }
}
