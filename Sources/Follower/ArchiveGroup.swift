public import Archive
import WAL

/// Several archives of one log, which stand in for one another. Each has its own id and its own objects; the log and its history of writers are the same.
///
/// A value; safe from any task.
public struct ArchiveGroup: Sendable {
    public let readers: [ArchiveReader]
    /// The one with the newest epoch: its line is the log's.
    let newest: Int
    /// Where the log leaves each archive's history: newer epochs, of which it was not told, begin here.
    let limits: [LSN?]

    /// In the order of preference, at least one. Throws `.diverged` where they are not archives of one history: other logs, or other writers under one number; `.notFound`
    /// where none has begun.
    public init(_ readers: [ArchiveReader]) throws(ArchiveError) {
        precondition(!readers.isEmpty, "a group of no archives")
        let begun = readers.filter { $0.line != nil }
        // Of one that was never written there is nothing to say.
        self.readers = begun.isEmpty ? readers : begun
        var newest = 0
        for (index, reader) in self.readers.enumerated() {
            let (ours, theirs) = (try self.readers[newest].requireLine(), try reader.requireLine())
            if theirs.document.epoch.epoch.number > ours.document.epoch.epoch.number { newest = index }
        }
        let rule = self.readers[newest]
        let line = try rule.requireLine()
        var limits: [LSN?] = []
        for reader in self.readers {
            guard reader.log.logID == rule.log.logID, reader.log.segmentSize == rule.log.segmentSize else {
                throw ArchiveError(
                    .diverged, "the archive at \(reader.name) is of log \(reader.log.logID), the one at \(rule.name) of log \(rule.log.logID)",
                    key: reader.layout.logDocument, hint: "name archives of one log only")
            }
            let other = try reader.requireLine()
            for epoch in other.epochs.epochs {
                guard let known = line.epochs.epochs.first(where: { $0.number == epoch.number }), known.id != epoch.id else { continue }
                throw ArchiveError(
                    .diverged, "epoch \(epoch.number) is \(epoch.id) in the archive at \(reader.name) and \(known.id) in the one at \(rule.name)",
                    key: reader.layout.start(epoch.number), hint: "leave out the archive whose writer was given up")
            }
            limits.append(line.epochs.epochs.first { $0.number > other.document.epoch.epoch.number }?.start)
        }
        self.newest = newest
        self.limits = limits
    }

    var line: EpochLine {
        get throws(ArchiveError) { try readers[newest].requireLine() }
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
}

extension ArchiveReader {
    /// The store and the log, without credentials.
    public var name: String { "\(access.store.name)/\(layout.log)" }
}
