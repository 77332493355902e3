public import WAL
import Archive

/// Where a consumer of a log's records goes on: an LSN, and the epoch that wrote what comes before it.
///
/// Whoever stores it together with what it made of the records, and begins there again, has each record exactly once, and is told where the log's history has
/// gone another way below it. As text: `30@00f1e2d3c4b5a697`, the LSN in decimal and the epoch's id in 16 hex digits; or `30` alone, an LSN that is taken at its word.
public struct LogPosition: Hashable, Sendable {
    public let lsn: LSN
    /// Nil: not known. Then a fork below the LSN is not noticed.
    public let epoch: EpochID?

    public init(_ lsn: LSN, epoch: EpochID? = nil) {
        self.lsn = lsn
        self.epoch = epoch
    }
}

extension LogPosition: LosslessStringConvertible {
    public var description: String { epoch.map { "\(lsn)@\($0)" } ?? "\(lsn)" }

    /// Nil for anything but an LSN, and an LSN and an epoch's id.
    public init?(_ description: String) {
        let parts = description.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, !parts[0].isEmpty, parts[0].utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let lsn = UInt64(parts[0]), lsn <= LogLimits.lsnMax
        else { return nil }
        if parts.count == 1 {
            self.init(LSN(lsn))
        } else {
            guard let epoch = EpochID(hex: String(parts[1])) else { return nil }
            self.init(LSN(lsn), epoch: epoch)
        }
    }
}

extension LogPosition: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let position = LogPosition(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no position in a log: \(text)")
        }
        self = position
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension EpochTable {
    /// Throws `.diverged`, with the fork where it is known, for a position of another history than this.
    func require(_ position: LogPosition, in what: String) throws(ArchiveError) {
        guard let id = position.epoch, !contains(position.lsn, of: id) else { return }
        let hint = "what was made of the records past the fork is of another history: set the consumer back to a position before it, or begin anew"
        guard let index = epochs.lastIndex(where: { $0.id == id }) else {
            throw ArchiveError(.diverged, "position \(position) is of an epoch that \(what) does not come from", lsn: position.lsn, hint: hint)
        }
        let next = epochs[index + 1]
        throw ArchiveError(
            .diverged, "position \(position) is past LSN \(next.start), where \(what) leaves that epoch: epoch \(next.number) begins there", lsn: next.start, hint: hint)
    }
}

extension LogReader {
    /// Throws `ArchiveError` `.diverged`, with the fork where it is known, for a position of another history than the log's; and what reading the log's facts throws. A position below
    /// the head, of which the log does not know the history any more, passes.
    package func requireHistory(of position: LogPosition) throws {
        guard position.lsn >= (try headLSN) else { return }
        try epochs.require(position, in: "the log")
    }
}

/// Which epoch each of a log's records is of, asked for in ascending order: cheap enough for every one of them.
struct EpochCursor {
    private let epochs: [Epoch]
    private var index = 0
    private(set) var id: EpochID

    init(_ table: EpochTable) {
        epochs = table.epochs
        id = epochs[0].id
    }

    mutating func move(to lsn: LSN) {
        while index + 1 < epochs.count, epochs[index + 1].start <= lsn {
            index += 1
            id = epochs[index].id
        }
    }
}
