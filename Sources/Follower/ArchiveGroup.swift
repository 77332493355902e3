public import Archive
import WAL

/// Several archives of one log, which stand in for one another. Each has its own id and its own objects; the log and its history of writers are the same.
///
/// A value; safe from any task.
public struct ArchiveGroup: Sendable {
    public let readers: [ArchiveReader]
    /// The one with the newest epoch: its line is the log's.
    let newest: Int
    /// Every writer that one of them knows of: the newest one's line, with what lay before it. Archives that were begun late know only what the log still had.
    let history: EpochTable
    /// Where the log leaves each archive's history: newer epochs, of which it was not told, begin here.
    let limits: [LSN?]

    /// In the order of preference, at least one. Throws `.diverged` where they are not archives of one history: other logs, other writers under one number, or a newest epoch so old
    /// that nobody knows where the next one began; `.notFound` where none has begun.
    public init(_ readers: [ArchiveReader]) throws(ArchiveError) {
        precondition(!readers.isEmpty, "a group of no archives")
        let begun = readers.filter { $0.line != nil }
        // Of one that was never written there is nothing to say.
        self.readers = begun.isEmpty ? readers : begun
        var lines: [EpochTable] = []
        for reader in self.readers { lines.append(try reader.requireLine().epochs) }
        var newest = 0
        for index in lines.indices where lines[index].current.number > lines[newest].current.number { newest = index }
        let rule = self.readers[newest]
        let history = ArchiveGroup.joined(lines, newest: newest)
        var limits: [LSN?] = []
        for (reader, line) in zip(self.readers, lines) {
            guard reader.log.logID == rule.log.logID, reader.log.segmentSize == rule.log.segmentSize else {
                throw ArchiveError(
                    .diverged, "the archive at \(reader.name) is of log \(reader.log.logID), the one at \(rule.name) of log \(rule.log.logID)",
                    key: reader.layout.logDocument, hint: "name archives of one log only")
            }
            for epoch in line.epochs {
                guard let known = history.epoch(number: epoch.number), known.id != epoch.id else { continue }
                throw ArchiveError(
                    .diverged, "epoch \(epoch.number) is \(epoch.id) in the archive at \(reader.name) and \(known.id) in another one",
                    key: reader.layout.start(epoch.number), hint: "leave out the archive whose writer was given up")
            }
            let last = line.current.number
            guard last + 1 >= history.epochs[0].number else {
                throw ArchiveError(
                    .diverged, "the archive at \(reader.name) ends with epoch \(last), and where the next one began is not known: the others begin with \(history.epochs[0].number)",
                    key: reader.layout.start(last), hint: "leave that archive out")
            }
            limits.append(history.epoch(number: last + 1)?.start)
        }
        self.newest = newest
        self.history = history
        self.limits = limits
    }

    /// The newest line, and before it what others know of the epochs that it leaves out.
    private static func joined(_ lines: [EpochTable], newest: Int) -> EpochTable {
        var history = lines[newest]
        while true {
            let oldest = history.epochs[0]
            let older = lines.map { line in line.epochs.filter { $0.number < oldest.number } }
            guard let best = older.filter({ $0.last?.number == oldest.number - 1 }).max(by: { $0.count < $1.count }) else { return history }
            // What forked below their starts has cut them.
            let cut = best.map { Epoch(number: $0.number, id: $0.id, start: min($0.start, oldest.start)) }
            guard let longer = EpochTable(cut + history.epochs) else { return history }
            history = longer
        }
    }

    /// The first record that any of them has.
    var firstRecord: LSN {
        get throws(ArchiveError) {
            var first = try readers[newest].firstRecord
            for reader in readers { first = min(first, try reader.firstRecord) }
            return first
        }
    }

    /// What a planner needs to know of them.
    var members: [RestorePlanner.Member] {
        get throws(ArchiveError) {
            var members: [RestorePlanner.Member] = []
            for (reader, limit) in zip(readers, limits) { members.append(RestorePlanner.Member(try reader.outline, limit: limit)) }
            return members
        }
    }

    /// Where another writer has taken over since the archives were opened, if that lies below `end`: what was read past it is not part of the log any more. An archive that cannot
    /// be reached now knows of none: what was read is what it held.
    func fork(below end: LSN) async throws(ArchiveError) -> (lsn: LSN, key: ObjectKey)? {
        for reader in readers {
            let successor: ArchiveReader.Successor
            do throws(ArchiveError) {
                successor = try await reader.successor()
            } catch where error.isOfTheStore {
                continue
            }
            // Until it has begun, its parent is all that there is.
            guard case .begun(let line) = successor, let fork = line.epochs.epochs.first(where: { $0.number > history.current.number })?.start, fork < end
            else { continue }
            return (fork, reader.layout.start(line.document.epoch.epoch.number))
        }
        return nil
    }

    /// As they are now. One that cannot be reached stays as it was.
    func reopened() async throws(ArchiveError) -> ArchiveGroup {
        var now: [ArchiveReader] = []
        for reader in readers {
            do throws(ArchiveError) {
                now.append(try await reader.reopened())
            } catch where error.isOfTheStore && readers.count > 1 {
                now.append(reader)
            }
        }
        return try ArchiveGroup(now)
    }
}

extension ArchiveReader {
    /// The store and the log, without credentials.
    public var name: String { "\(access.store.name)/\(layout.log)" }
}
