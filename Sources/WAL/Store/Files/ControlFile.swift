/// The control file of a log: its identity, its facts and its live page.
///
/// Owns the descriptor and the mapping. The inode is never replaced. Facts are read and written only by the holder of the maintenance
/// lock, or of a log that nobody else can have seen yet.
final class ControlFile: Sendable {
    let identity: IdentityPage
    let file: any File
    let live: LiveWords
    private let inode: UInt64
    private let paths: LogPaths
    private let fileSystem: any FileSystem

    private static let livePageOffset = UInt64(3 * FormatLimits.pageSize)
    static let footOffset = UInt64(4 * FormatLimits.pageSize)
    private static func size(_ identity: IdentityPage) -> UInt64 { identity.segmentSize == 0 ? 5 * 4096 : 4 * 4096 }

    private init(
        identity: IdentityPage, file: any File, live: LiveWords, inode: UInt64, paths: LogPaths,
        fileSystem: any FileSystem
    ) {
        self.identity = identity
        self.file = file
        self.live = live
        self.inode = inode
        self.paths = paths
        self.fileSystem = fileSystem
    }

    /// Opens the control file and reads its identity. `.notALog` where it is no control file or a newer one, `.corruption` where it is a
    /// damaged one. Nothing is changed.
    static func open(_ paths: LogPaths, _ fileSystem: any FileSystem, writable: Bool) throws(WALError) -> ControlFile {
        let file = try fileSystem.open(paths.control, writable ? .readWrite : .read)
        let status = try file.status()
        let identity = try readIdentity(file)
        guard status.size == size(identity) else {
            throw .corruption(
                lsn: .zero,
                reason: "\(paths.control) has \(status.size) bytes where \(size(identity)) belong; restore it from a backup or the archive")
        }
        let mapping = try file.map(offset: livePageOffset, length: LivePage.size, writable: writable)
        return ControlFile(
            identity: identity, file: file, live: LiveWords(mapping: mapping), inode: status.inode, paths: paths,
            fileSystem: fileSystem)
    }

    /// Throws as `open` where what is called `control` is none: nothing but it was touched.
    static func requireIdentity(_ paths: LogPaths, _ fileSystem: any FileSystem) throws(WALError) {
        let file = try fileSystem.open(paths.control, .read)
        defer { file.close() }
        _ = try readIdentity(file)
    }

    private static func readIdentity(_ file: any File) throws(WALError) -> IdentityPage {
        let page = try read(file, page: 0)
        do throws(FormatError) {
            return try IdentityPage.decode(page)
        } catch {
            switch error.kind {
            case .magic, .empty, .size, .unsupported: throw .notALog(path: file.path, reason: "\(error)")
            case .checksum, .value: throw .corruption(lsn: .zero, reason: "\(file.path): \(error)")
            }
        }
    }

    /// Writes a new control file beside its place, syncs it, renames it and syncs the directory: the log exists on return, durably. `epochs` is the whole history; what does not
    /// fit into the facts goes to a file of its own first.
    static func create(
        _ paths: LogPaths, _ fileSystem: any FileSystem, identity: IdentityPage, facts: Facts, epochs: EpochTable
    ) throws(WALError) {
        var facts = try arrange(facts, epochs: epochs, paths, fileSystem).facts
        let temporary = paths.control + ".tmp"
        try fileSystem.unlink(temporary)
        let file = try fileSystem.open(temporary, .createNew)
        defer { file.close() }
        try file.allocate(offset: 0, length: size(identity))
        try file.write(identity.encode(), at: 0)
        facts.controlInode = try file.status().inode
        for _ in 0..<2 {
            facts.generation += 1
            try file.write(facts.encode(), at: UInt64(Facts.page(ofGeneration: facts.generation) * 4096))
        }
        if identity.segmentSize == 0 {
            let header = SegmentFoot.Header(logID: identity.logID, index: 0, segmentSize: 0)
            try file.write(SegmentFoot.encodeFresh(header), at: footOffset)
        }
        try file.sync()
        try fileSystem.rename(temporary, to: paths.control)
        try fileSystem.syncDirectory(paths.directory)
    }

    // MARK: Facts

    /// Readings before two copies that are not intact count as damaged: one may be met while it is written, both only by two writes in a row.
    private static let factsReadingsMax = 3

    /// What the pages with the facts hold now. `controlInode` tells whether the directory is a copy.
    func readFacts() throws(WALError) -> FactsFound {
        var found = try readFactsOnce()
        for _ in 1..<Self.factsReadingsMax where found.facts == nil { found = try readFactsOnce() }
        return found
    }

    private func readFactsOnce() throws(WALError) -> FactsFound {
        let pages = [try Self.read(file, page: 1), try Self.read(file, page: 2)]
        var copies: [Result<Facts, FormatError>] = []
        for (page, bytes) in pages.enumerated() {
            do throws(FormatError) {
                copies.append(.success(try Facts.decode(bytes, expecting: identity.logID, page: page + 1)))
            } catch {
                copies.append(.failure(error))
            }
        }
        let errors = copies.compactMap { if case .failure(let error) = $0 { error } else { nil } }
        return FactsFound(
            facts: Facts.choose(copies), errors: errors, isCopied: Facts.choose(copies)?.controlInode != inode,
            isSettled: Facts.areSettled(copies))
    }

    /// The facts, where somebody who cannot repair them needs them.
    func requireFacts() throws(WALError) -> Facts {
        let found = try readFacts()
        guard let facts = found.facts else { throw .corruption(lsn: .zero, reason: found.describeDamage(paths.control)) }
        return facts
    }

    /// The whole history of epochs that the facts name.
    func epochTable(_ facts: Facts) throws(WALError) -> EpochTable {
        let older = try facts.epochsFile.map { generation throws(WALError) in try readEpochFile(generation) }
        do throws(FormatError) {
            return try facts.epochTable(older: older.map { bytes throws(FormatError) in
                try EpochFile.decode(bytes, expecting: identity.logID)
            })
        } catch {
            throw .corruption(lsn: facts.head, reason: "the epoch table: \(error)")
        }
    }

    private func readEpochFile(_ generation: UInt64) throws(WALError) -> [UInt8] {
        let file = try fileSystem.open(paths.epochs(generation), .read)
        defer { file.close() }
        let size = try file.status().size
        guard size <= UInt64(EpochFile.sizeMax) else {
            throw .corruption(lsn: .zero, reason: "\(file.path) has \(size) bytes, more than any epochs file")
        }
        return try file.bytes(at: 0, count: Int(size))
    }

    /// Writes `facts` to both copies, one after the other, each synced: they are in effect on return and survive the loss of either copy.
    /// `epochs` is the whole history; what does not fit goes to a file of its own first. On an error the facts before it still hold.
    func writeFacts(_ facts: Facts, epochs: EpochTable) throws(WALError) -> Facts {
        try write(try arrange(facts, epochs: epochs))
    }

    /// Facts that are ready to be written: the epochs that do not fit into them are in a file of their own.
    struct ArrangedFacts {
        fileprivate var facts: Facts
        fileprivate let oldFile: UInt64?
    }

    /// The first half of `writeFacts`, which may fail for lack of space and changes nothing that is in effect.
    func arrange(_ facts: Facts, epochs: EpochTable) throws(WALError) -> ArrangedFacts {
        try ControlFile.arrange(facts, epochs: epochs, paths, fileSystem)
    }

    private static func arrange(
        _ facts: Facts, epochs: EpochTable, _ paths: LogPaths, _ fileSystem: any FileSystem
    ) throws(WALError) -> ArrangedFacts {
        var facts = facts
        let needed = epochs.entries(neededFor: facts.head)
        let inPlace = Array(needed.suffix(FormatLimits.epochsInPlace))
        let older = Array(needed.dropLast(inPlace.count))
        guard older.count <= FormatLimits.epochsInFile else {
            throw .encoding(reason: "the log has \(needed.count) epochs, more than can be kept: truncate its beginning first")
        }
        let oldFile = facts.epochsFile
        facts.epochs = inPlace
        facts.epochsFile = nil
        if !older.isEmpty {
            let generation = facts.generation + 1
            try write(EpochFile(generation: generation, logID: facts.logID, epochs: older), paths, fileSystem)
            facts.epochsFile = generation
        }
        return ArrangedFacts(facts: facts, oldFile: oldFile)
    }

    /// The second half: needs no space. On an error the facts before it hold, or these.
    func write(_ arranged: ArrangedFacts) throws(WALError) -> Facts {
        var facts = arranged.facts
        let oldFile = arranged.oldFile
        for _ in 0..<2 {
            facts.generation += 1
            try file.write(facts.encode(), at: UInt64(Facts.page(ofGeneration: facts.generation) * 4096))
            try file.sync()
        }
        if let oldFile, oldFile != facts.epochsFile { try fileSystem.unlink(paths.epochs(oldFile)) }
        return facts
    }

    private static func write(_ epochs: EpochFile, _ paths: LogPaths, _ fileSystem: any FileSystem) throws(WALError) {
        let path = paths.epochs(epochs.generation)
        let temporary = path + ".tmp"
        try fileSystem.unlink(temporary)
        let file = try fileSystem.open(temporary, .createNew)
        defer { file.close() }
        try file.write(epochs.encode(), at: 0)
        try file.sync()
        try fileSystem.rename(temporary, to: path)
        try fileSystem.syncDirectory(paths.directory)
    }

    // MARK: Its place

    /// Throws where another control file, or none, is in this one's place. Paths lead elsewhere then: what is missing there is no damage of this log,
    /// and what would be made or removed there is none of its files.
    func requireStillThere() throws(WALError) {
        guard try fileSystem.status(paths.control)?.inode != inode else { return }
        throw .notALog(path: paths.name, reason: "the log that was opened there has been moved or removed")
    }

    /// Runs `body` as the only one who truncates, pins or writes facts of this log; see `LogLock.underMaintenance`. Looks for the log's place before, so
    /// that no lock is made in a strange directory, and with the lock, so that it is this log's: another's keeps nobody from this log's facts.
    func underMaintenance<T>(_ time: any TimeSource, _ body: () throws(WALError) -> T) throws(WALError) -> T {
        try requireStillThere()
        return try LogLock.underMaintenance(paths, fileSystem, time) { () throws(WALError) in
            try requireStillThere()
            return try body()
        }
    }

    // MARK: Bytes

    private static func read(_ file: any File, page: Int) throws(WALError) -> [UInt8] {
        try file.bytes(at: UInt64(page * FormatLimits.pageSize), count: FormatLimits.pageSize)
    }

    func close() {
        live.unmap()
        file.close()
    }
}

/// What was found of the two copies of the facts.
struct FactsFound: Sendable {
    var facts: Facts?
    var errors: [FormatError]
    /// The control file's inode is not the one in the facts: the directory was copied.
    var isCopied: Bool
    /// Both copies say the same, so what they say is durable: the second is written once the first has been synced. Where they differ, whoever wrote the
    /// newer one was interrupted, or its sync failed: it may be in the page cache only, and is written again before anything rests on it.
    var isSettled: Bool

    func describeDamage(_ path: String) -> String {
        "both copies of the facts in \(path) are damaged (\(errors.map { "\($0)" }.joined(separator: "; "))); restore the log from the archive"
    }
}
