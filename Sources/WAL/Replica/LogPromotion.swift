/// Makes a replica a log that can be written: the only thing that does.
///
/// Holds the writer's lock from `begin` to `close`. Until `finish` has written the facts the log is the replica that it was, with bytes past its
/// end at most: a crash at any moment leaves something that can be promoted again. Not for two threads at once.
public final class LogPromotion {
    /// What is to be promoted, as it was found.
    public struct Candidate: Sendable {
        public let logID: LogID
        public let segmentSize: Int
        public let epochs: EpochTable
        /// The first record.
        public let head: LSN
        /// Where the replica ends: the new epoch's start.
        public let end: LSN
        /// False: it is no replica, and nothing is to be done.
        public let isReplica: Bool
    }

    /// An epoch that was claimed, with its number and id.
    public struct ClaimedEpoch: Hashable, Sendable {
        public let number: UInt64
        public let id: EpochID
        public init(number: UInt64, id: EpochID) {
            self.number = number
            self.id = id
        }
    }

    public let candidate: Candidate
    /// The history so far: the replica's, and what `takeIn` added.
    public private(set) var epochs: EpochTable
    /// Where the log ends so far: what `takeIn` took in is counted.
    public private(set) var end: LSN
    /// Where the next applied bytes go: at or past the end.
    public private(set) var position: LSN

    private let held: HeldLog
    private let medium: SegmentDirectory
    private var facts: Facts
    private var current: (index: UInt64, file: any File)?
    private var longest = 0

    /// Takes the writer's lock of the log in `directory` and, where it is a replica, reads all of it. Blocks its thread for that long.
    ///
    /// Throws `.locked` while somebody writes, and what opening a log throws; then everything is as before.
    public static func begin(directory: String) throws(WALError) -> LogPromotion {
        try begin(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package static func begin(directory: String, fileSystem: any FileSystem, time: any TimeSource) throws(WALError) -> LogPromotion {
        try HeldLog.hold(directory: directory, fileSystem: fileSystem, time: time) { held throws(WALError) in try LogPromotion(held) }
    }

    private init(_ held: HeldLog) throws(WALError) {
        let identity = held.control.identity
        let medium = held.files
        let isReplica = held.found.isCopied || held.found.facts.isReplica
        var facts = held.found.facts
        var end = facts.floor
        if isReplica {
            let recovery = Recovery(
                paths: held.paths, fileSystem: held.fileSystem, control: held.control, medium: medium,
                slots: SlotDirectory(paths: held.paths, fileSystem: held.fileSystem), configuration: .init(verify: .full),
                boot: try held.fileSystem.bootID(), incarnation: .random(), factsAreDue: false)
            let result = try recovery.run(facts: facts, epochs: held.found.epochs, isCopied: held.found.isCopied)
            facts = result.facts
            end = result.end
        }
        candidate = Candidate(
            logID: identity.logID, segmentSize: Int(identity.segmentSize), epochs: held.found.epochs, head: facts.head, end: end,
            isReplica: isReplica)
        epochs = held.found.epochs
        self.end = end
        position = end
        self.facts = facts
        self.held = held
        self.medium = medium
    }

    deinit { current?.file.close() }

    /// The replica's raw bytes of a range between its head and its end.
    public func bytes(_ range: Range<LSN>) throws(WALError) -> [UInt8] {
        precondition(range.lowerBound >= candidate.head, "the range lies in the replica")
        precondition(range.upperBound <= end, "the range lies in the replica")
        let head = candidate.head
        let reader = medium.makeReader(head: { head })
        var bytes = [UInt8](repeating: 0, count: Int(range.upperBound.distance(from: range.lowerBound)))
        let count = unsafe try bytes.withMutableBytes { buffer throws(WALError) in
            try unsafe reader.read(into: buffer, at: range.lowerBound)
        }
        guard count == bytes.count else {
            throw .corruption(lsn: range.lowerBound.advanced(by: UInt64(count)), reason: "the log's files end before its last record")
        }
        return bytes
    }

    /// Writes archived bytes behind the replica's end, in order. They are part of the log after `takeIn`.
    public func apply(_ bytes: [UInt8], at lsn: LSN) throws(WALError) {
        precondition(candidate.isReplica, "only a replica takes in what it has not written")
        precondition(lsn == position, "archived bytes are applied in order: \(lsn) is not \(position)")
        // What a torn tail left behind the end must not be read as if it had been applied.
        if current == nil { try cut() }
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

    /// Makes what was applied a part of the log as far as it is whole records and batches, verifying every frame. `inherited` are the epochs after
    /// the current one that the archive tells of, each with its start; those that begin past the applied bytes do not count. Returns the new end.
    @discardableResult
    public func takeIn(_ inherited: [Epoch]) throws(WALError) -> LSN {
        try endWindow()
        var table = epochs
        for epoch in inherited where epoch.start <= position && epoch.start >= end { try table.beginClaimed(epoch) }
        let head = candidate.head
        let firstFrames = FirstFrames()
        let cursor = FrameCursor(
            reader: medium.makeReader(head: { head }), checksums: FrameChecksums(logID: candidate.logID, epochs: table),
            maxRecordSize: LogLimits.maxRecordSizeMax, position: end, limit: position)
        var reached = end
        scan: while cursor.position < position {
            switch try cursor.next() {
            case .record(let record):
                firstFrames.note(record.lsn, segmentSize: medium.windowSize)
                longest = max(longest, record.count)
                if !record.continuesBatch { reached = record.endLSN }
            case .end, .fault(.beyondEnd): break scan
            case .fault(let fault): throw .corruption(lsn: cursor.position, reason: fault.reason)
            }
        }
        try firstFrames.write(medium, upTo: reached, after: candidate.end)
        for epoch in inherited where epoch.start <= reached && epoch.start >= end { try epochs.beginClaimed(epoch) }
        end = reached
        position = reached
        return reached
    }

    /// Begins the last of `claimed` at the log's end, after those that others claimed before and never wrote in, so that numbers follow one another.
    /// One write of the facts does it: it raises the floor to the end, takes the directory for its own, and clears the replica flag.
    /// All is durable on return. On an error the replica is as before.
    public func finish(_ claimed: [ClaimedEpoch]) throws(WALError) -> Epoch {
        precondition(candidate.isReplica, "a log that is no replica is not promoted")
        precondition(!claimed.isEmpty, "a promotion begins an epoch")
        precondition(position == end, "what was applied was taken in")
        var table = epochs
        for claim in claimed { try table.beginClaimed(Epoch(number: claim.number, id: claim.id, start: end)) }
        try endWindow()
        // The tail becomes a fresh, synced copy: nothing of what was copied or restored is taken for durable unread.
        try cut()
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
            facts.isReplica = false
            facts.maxRecordSize = max(facts.maxRecordSize, longest)
            facts.controlInode = try held.control.file.status().inode
            // A copied live page speaks of the original, and would be believed as soon as the facts name this file.
            held.control.live.boot = BootID(high: 0, low: 0)
            _ = try held.control.writeFacts(facts, epochs: table)
            epochs = table
            return table.current
        }
    }

    /// Lets go of the log. Nothing else is called afterwards.
    public func close() {
        current?.file.close()
        current = nil
        held.close()
    }

    private func cut() throws(WALError) {
        try held.control.underMaintenance(held.time) { () throws(WALError) in
            let cut = try medium.prepareCut(from: end, to: end, firstFrames: [:])
            held.control.live.incarnation = .random()
            try medium.finish(cut)
        }
    }

    /// The window that bytes are applied to: nothing lies behind the end, so every other than the one that holds it is new.
    private func openWindow(_ index: UInt64) throws(WALError) -> any File {
        if let current, current.index == index { return current.file }
        try endWindow()
        let path = held.paths.segment(index)
        // Whole from the beginning: the replica is opened again after a crash, and half a segment would be damage to it.
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

extension LogPromotion {
    /// Promotes the log in `directory`: `claim` is given what was found and returns the new epoch, after those that others claimed before and never
    /// wrote in. A log that is no replica is left as it is. Throws as `begin` and `finish`, and what `claim` throws; then the replica is as before.
    public static func promote<E: Error>(
        directory: String, claim: (Candidate) async throws(E) -> [ClaimedEpoch]
    ) async throws -> Epoch {
        try await promote(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource(), claim: claim)
    }

    package static func promote<E: Error>(
        directory: String, fileSystem: any FileSystem, time: any TimeSource,
        claim: (Candidate) async throws(E) -> [ClaimedEpoch]
    ) async throws -> Epoch {
        let promotion = try begin(directory: directory, fileSystem: fileSystem, time: time)
        defer { promotion.close() }
        guard promotion.candidate.isReplica else { return promotion.epochs.current }
        return try promotion.finish(try await claim(promotion.candidate))
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
