/// The end of a replica that is held, where archived bytes are written behind those that are part of it.
///
/// What promoting and following share: bytes come in order, and become part of the log as far as they are whole records and batches whose frames
/// verify. Everything below `end` is on stable storage. Owns one segment file at a time, and the hold on the log until `close`. Not for two
/// threads at once.
final class ReplicaTail {
    let held: HeldLog
    let medium: SegmentDirectory
    private(set) var head: LSN
    /// The history up to the end.
    private(set) var epochs: EpochTable
    /// Where the log ends: a boundary between batches.
    private(set) var end: LSN
    /// Where the next bytes go.
    private(set) var position: LSN
    /// Bytes of the longest record that was taken in.
    private(set) var longest = 0

    /// Up to here frames are whole and were verified; past the end they are of a batch whose rest has not come.
    private var verified: LSN
    private var current: (index: UInt64, file: any File)?
    /// First frames of segments that are not yet noted in their feet, and the first segment whose first frame was not come across.
    private var firstFrames: [UInt64: LSN] = [:]
    private var firstUnknown: UInt64

    /// Everything below `end` was found intact, and is durable or is made so by `own`.
    init(_ held: HeldLog, head: LSN, end: LSN, epochs: EpochTable) {
        self.held = held
        medium = held.files
        self.head = head
        self.end = end
        self.epochs = epochs
        position = end
        verified = end
        firstUnknown = ReplicaTail.firstUnknown(end, medium.windowSize)
    }

    deinit { current?.file.close() }

    /// The window that begins at or after the end: of the one that the end lies inside of it is known.
    private static func firstUnknown(_ end: LSN, _ size: UInt64) -> UInt64 { (end.rawValue + size - 1) / size }

    /// The log's raw bytes of a range between its head and its end.
    func bytes(_ range: Range<LSN>) throws(WALError) -> [UInt8] {
        precondition(range.lowerBound >= head, "the range lies in the replica")
        precondition(range.upperBound <= end, "the range lies in the replica")
        var bytes = [UInt8](repeating: 0, count: Int(range.upperBound.distance(from: range.lowerBound)))
        let reader = makeReader()
        let count = unsafe try bytes.withMutableBytes { buffer throws(WALError) in
            try unsafe reader.read(into: buffer, at: range.lowerBound)
        }
        guard count == bytes.count else {
            throw .corruption(lsn: range.lowerBound.advanced(by: UInt64(count)), reason: "the log's files end before its last record")
        }
        return bytes
    }

    func makeReader() -> any LogBytesReader {
        let head = head
        return medium.makeReader(head: { head })
    }

    /// Writes archived bytes, in order. They are part of the log after `takeIn`.
    func apply(_ bytes: [UInt8], at lsn: LSN) throws(WALError) {
        precondition(lsn == position, "archived bytes are applied in order: \(lsn) is not \(position)")
        var offset = 0
        while offset < bytes.count {
            let file = try openWindow(position.rawValue / medium.windowSize)
            let inWindow = position.rawValue % medium.windowSize
            let count = min(bytes.count - offset, Int(medium.windowSize - inWindow))
            unsafe try bytes.withBytes { buffer throws(WALError) in
                try unsafe file.write(UnsafeRawBufferPointer(rebasing: buffer[offset..<offset + count]), at: inWindow)
            }
            offset += count
            position = position.advanced(by: UInt64(count))
        }
    }

    /// Makes what was applied durable, and a part of the log as far as it is whole records and batches, verifying every frame. `inherited` are the
    /// epochs after the current one that the archive tells of, each with its start; those that begin past the applied bytes do not count yet. Throws
    /// `.corruption` for a frame that does not verify: then the end is where it was.
    /// - Returns: the epochs that have begun with it.
    func takeIn(_ inherited: [Epoch]) throws(WALError) -> [Epoch] {
        try current?.file.sync()
        let new = inherited.filter { $0.number > epochs.current.number && $0.start >= end }
        var table = epochs
        for epoch in new where epoch.start <= position { try table.beginClaimed(epoch) }
        let cursor = FrameCursor(
            reader: makeReader(), checksums: FrameChecksums(logID: medium.logID, epochs: table),
            maxRecordSize: LogLimits.maxRecordSizeMax, position: verified, limit: position)
        var reached = end
        scan: while cursor.position < position {
            switch try cursor.next() {
            case .record(let record):
                noteFrame(record.lsn)
                longest = max(longest, record.count)
                if !record.continuesBatch { reached = record.endLSN }
            case .end, .fault(.beyondEnd): break scan
            case .fault(let fault): throw .corruption(lsn: cursor.position, reason: fault.reason)
            }
        }
        verified = cursor.position
        let begun = new.filter { $0.start <= reached }
        for epoch in begun { try epochs.beginClaimed(epoch) }
        end = reached
        try writeFirstFrames()
        return begun
    }

    private func noteFrame(_ lsn: LSN) {
        let index = lsn.rawValue / medium.windowSize
        guard index >= firstUnknown else { return }
        firstFrames[index] = lsn
        firstUnknown = index + 1
    }

    private func writeFirstFrames() throws(WALError) {
        for (index, lsn) in firstFrames where lsn < end {
            try withFoot(index) { foot throws(WALError) in try foot.writeFirstFrame(lsn) }
            firstFrames[index] = nil
        }
    }

    /// Notes in a foot how far the log is durable. What is written to the segment that is open is carried by its next sync.
    func writeCell(sequence: UInt64) throws(WALError) {
        guard end > head else { return }
        let cell = SegmentFoot.DurableCell(epoch: epochs.current.id, durable: end, sequence: sequence)
        try withFoot((end.rawValue - 1) / medium.windowSize) { foot throws(WALError) in try foot.writeCell(cell) }
    }

    private func withFoot(_ index: UInt64, _ body: (FootWriter) throws(WALError) -> Void) throws(WALError) {
        let header = SegmentFoot.Header(logID: medium.logID, index: index, segmentSize: medium.windowSize)
        if let current, current.index == index {
            return try body(FootWriter(file: current.file, offset: medium.windowSize, header: header, keepsFirstFrame: true))
        }
        let file = try held.fileSystem.open(held.paths.segment(index), .readWrite)
        defer { file.close() }
        try body(FootWriter(file: file, offset: medium.windowSize, header: header, keepsFirstFrame: true))
        try file.sync()
    }

    /// The log's beginning was truncated.
    func begins(at lsn: LSN) {
        precondition(lsn >= head, "the head does not go back")
        precondition(lsn <= end, "the head does not pass the end")
        head = lsn
    }

    /// Begins an epoch at the end.
    func begin(_ epoch: Epoch) throws(WALError) { try epochs.beginClaimed(epoch) }

    /// Drops what lies behind the end: the segment that holds it becomes a fresh, synced copy. Bytes are applied from the end on again.
    func cut() throws(WALError) {
        try endWindow()
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            let cut = try medium.prepareCut(from: end, to: end, firstFrames: [:])
            held.control.live.incarnation = .random()
            try medium.finish(cut)
        }
        position = end
        verified = end
        firstFrames = [:]
        firstUnknown = ReplicaTail.firstUnknown(end, medium.windowSize)
    }

    /// Takes the directory for its own, whatever brought it here: everything in it is synced, then one write of the facts says so, with the end as the
    /// floor. Nothing lies behind the end. On an error the facts before it hold.
    func own(_ facts: Facts) throws(WALError) -> Facts {
        try endWindow()
        return try held.control.underMaintenance(held.time) { () throws(WALError) in
            // A copied directory may never have reached the disk.
            for index in try medium.windows() {
                let file = try held.fileSystem.open(held.paths.segment(index), .read)
                defer { file.close() }
                try file.sync()
            }
            try held.fileSystem.syncDirectory(held.paths.directory)
            var facts = facts
            facts.floor = end
            facts.discardFrom = nil
            facts.maxRecordSize = max(facts.maxRecordSize, longest)
            facts.controlInode = try held.control.file.status().inode
            // A copied live page speaks of the original, and would be believed as soon as the facts name this file.
            held.control.live.boot = BootID(high: 0, low: 0)
            return try held.control.writeFacts(facts, epochs: epochs)
        }
    }

    func close() {
        current?.file.close()
        current = nil
        held.close()
    }

    /// The window that bytes are applied to: nothing lies behind the end, so every other than the one that holds it is new.
    private func openWindow(_ index: UInt64) throws(WALError) -> any File {
        if let current, current.index == index { return current.file }
        try endWindow()
        let path = held.paths.segment(index)
        if try held.fileSystem.status(path) == nil { try medium.makeEmpty(index) }
        let file = try held.fileSystem.open(path, .readWrite)
        current = (index, file)
        return file
    }

    private func endWindow() throws(WALError) {
        guard let current else { return }
        try current.file.sync()
        current.file.close()
        self.current = nil
    }
}

extension EpochTable {
    fileprivate mutating func beginClaimed(_ epoch: Epoch) throws(WALError) {
        guard epoch.number == current.number + 1 else {
            throw .encoding(
                reason: "epoch \(epoch.number) does not follow this log's epoch \(current.number): restore again to take in what came between")
        }
        begin(epoch)
    }
}
