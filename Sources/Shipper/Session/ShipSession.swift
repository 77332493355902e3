import Archive
import WAL

/// What was agreed with the archive when shipping began: whose it is, under which epoch, and since where.
struct ShipSession: Sendable {
    let logID: LogID
    let archiveID: ArchiveID
    let epoch: EpochName
    /// Where the epoch begins in this archive.
    let epochStart: LSN
    /// For each object's metadata: every epoch whose frames may be in it, the last one `epoch`.
    let ancestry: [Epoch]
    /// The epochs that have objects in this archive, oldest first, each with where it begins here; the last one is `epoch`.
    let line: [Place]
    /// Which names the epoch's objects have.
    var naming = ObjectNaming.plain
    /// What new objects are encrypted with, and what opens those that are there.
    var keys = KeyRing.none

    struct Place: Hashable, Sendable {
        var epoch: EpochName
        var start: LSN
    }
}

/// What the local log looked like when a session was opened.
struct LogFacts: Sendable {
    let logID: LogID
    let segmentSize: UInt64
    let head: LSN
    let durable: LSN
    let epochs: EpochTable
    let incarnation: Incarnation

    /// Throws `.replica` for a log that is not to be shipped.
    init(_ reader: LogReader) throws(ShipperError) {
        // The incarnation first: a writer that comes between shows as a change later.
        incarnation = reader.incarnation
        let isReplica = try ShipperError.log { () throws(WALError) in try reader.isReplica }
        guard !isReplica else { throw .replica(directory: reader.directory) }
        logID = reader.logID
        segmentSize = UInt64(reader.segmentSize)
        epochs = try ShipperError.log { () throws(WALError) in try reader.epochs }
        durable = try ShipperError.log { () throws(WALError) in try reader.durableLSN }
        head = try ShipperError.log { () throws(WALError) in try reader.headLSN }
    }
}
