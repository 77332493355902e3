/// Makes a replica a log that can be written: the only thing that does.
public enum LogPromotion {
    /// What is to be promoted, as it was found.
    public struct Candidate: Sendable {
        public let logID: LogID
        public let epochs: EpochTable
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

    /// Promotes the log in `directory`: `claim` is given what was found and returns the new epoch (claimed on the archives where those are at hand;
    /// it runs before anything changes), after those that others claimed before and never wrote in, so that numbers follow one another. Then one write of the facts begins that epoch at the log's end, raises the floor to it,
    /// takes the directory for its own, and clears the replica flag; all durable on return. The writer's lock is held throughout.
    ///
    /// Throws `.locked` while somebody writes, what opening a log throws, and what `claim` throws; then the replica is as before.
    public static func promote<E: Error>(
        directory: String, claim: (Candidate) async throws(E) -> [ClaimedEpoch]
    ) async throws -> Epoch {
        try await promote(directory: directory, fileSystem: LinuxFileSystem(), time: LinuxTimeSource(), claim: claim)
    }

    package static func promote<E: Error>(
        directory: String, fileSystem: any FileSystem, time: any TimeSource,
        claim: (Candidate) async throws(E) -> [ClaimedEpoch]
    ) async throws -> Epoch {
        let paths = LogPaths(directory: directory)
        let opener = LogOpener(
            paths: paths, kind: .directory(segmentSize: nil), fileSystem: fileSystem, time: time, configuration: .init())
        let (place, what) = try opener.look()
        guard place == .log else {
            throw WALError.notALog(path: directory, reason: place == .vacant ? "there is no control file" : what)
        }
        try ControlFile.requireIdentity(paths, fileSystem)
        let lock = try LogLock.takeWriter(paths, fileSystem)
        defer { lock.close() }
        let admitted = try opener.admit(writable: true)
        defer { admitted.control.close() }
        guard admitted.isCopied || admitted.facts.isReplica else { return admitted.epochs.current }
        let medium = SegmentDirectory(
            paths: paths, fileSystem: fileSystem, logID: admitted.control.identity.logID,
            windowSize: admitted.control.identity.segmentSize)
        let recovery = Recovery(
            paths: paths, fileSystem: fileSystem, control: admitted.control, medium: medium,
            slots: SlotDirectory(paths: paths, fileSystem: fileSystem), configuration: .init(verify: .full),
            boot: try fileSystem.bootID(), incarnation: .random(), factsAreDue: false)
        let found = try recovery.run(facts: admitted.facts, epochs: admitted.epochs, isCopied: admitted.isCopied)
        let claimed = try await claim(
            Candidate(logID: medium.logID, epochs: admitted.epochs, end: found.end, isReplica: true))
        return try LogLock.underMaintenance(paths, fileSystem, time) { () throws(WALError) in
            // The tail becomes a fresh, synced copy: nothing of what was copied or restored is taken for durable unread.
            let cut = try medium.prepareCut(from: found.end, to: found.end, firstFrames: [:])
            admitted.control.live.incarnation = .random()
            try medium.finish(cut)
            var epochs = admitted.epochs
            for claim in claimed { try epochs.beginClaimed(Epoch(number: claim.number, id: claim.id, start: found.end)) }
            precondition(epochs.current.start == found.end && !claimed.isEmpty, "a promotion begins an epoch")
            // A copied directory may never have reached the disk.
            for index in try medium.windows() {
                let file = try fileSystem.open(paths.segment(index), .read)
                defer { file.close() }
                try file.sync()
            }
            var facts = found.facts
            facts.floor = found.end
            facts.discardFrom = nil
            facts.isReplica = false
            facts.controlInode = try admitted.control.file.status().inode
            _ = try admitted.control.writeFacts(facts, epochs: epochs)
            return epochs.current
        }
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
