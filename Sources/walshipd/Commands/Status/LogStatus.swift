import Archive
import Follower
import WAL

/// What a log's own files say about it at one moment, for people and for scripts.
///
/// A value, gathered by reading only. What only a running daemon knows (`url`, `state`, `last_error` of a destination) is null.
struct LogStatus {
    struct Destination {
        var name: String
        var archived: LSN
        var checkpoint: LSN
        /// Bytes that are durable and not archived.
        var lagBytes: UInt64
        /// Closed segments that are durable and not archived.
        var lagSegments: UInt64
        /// Since the last acknowledgement; 0 where nothing waits, nil where nothing was ever acknowledged.
        var lagSeconds: Double?
        var epochNumber: UInt64
        var capabilities: StoreCapabilities
        /// Given up, and not yet recorded in the archive.
        var gaps: [Range<LSN>]
        /// The last one that is.
        var lastGap: Range<LSN>?
        /// What the store lacks to keep two writers apart, in words that follow "the store"; nil where nothing is lacking, as far as is known.
        var fencingWeakness: String? { capabilities.fencingWeakness }
    }
    struct Pin {
        var name: String
        var position: LSN
    }

    var path: String
    var logID: LogID
    var epoch: Epoch
    var head: LSN
    var written: LSN
    var durable: LSN
    var segmentSize: Int
    /// Process and name of the writer.
    var writer: (process: Int32?, name: String)?
    var isReplica: Bool
    var isStopped: Bool
    var hold: SlotHold
    /// Appends that wait for a destination.
    var blockage: AppendBlockage?
    var destinations: [Destination] = []
    var pins: [Pin] = []
    var unreadableSlots: [String] = []
    /// Of a replica: what its follower said last. It runs only where a writer does.
    var follower: FollowerDocument?

    /// Positions are read in an order in which they can only seem further apart than they are.
    init(of reader: LogReader, now: UInt64) throws(WALError) {
        path = reader.directory
        logID = reader.logID
        segmentSize = reader.segmentSize
        head = try reader.headLSN
        let slots = try reader.slots()
        hold = LogReader.hold(of: slots)
        let name = try reader.writer
        writer = try name.map { name throws(WALError) in (try reader.writerProcess, name) }
        durable = max(head, try reader.durableLSN)
        // Without a writer, what one wrote last is not known to be there still.
        written = name == nil ? durable : max(durable, try reader.writtenLSN)
        epoch = try reader.epochs.current
        isReplica = try reader.isReplica
        isStopped = reader.isStopped
        blockage = try reader.blockage
        for slot in slots {
            guard let state = slot.state else {
                unreadableSlots.append(slot.name)
                continue
            }
            switch state.kind {
            case .pin: pins.append(Pin(name: slot.name, position: state.position))
            case .destination: destinations.append(Self.destination(slot.name, state, durable: durable, segmentSize: UInt64(segmentSize), now: now))
            }
        }
    }

    private static func destination(_ name: String, _ state: SlotState, durable: LSN, segmentSize: UInt64, now: UInt64) -> Destination {
        let archived = max(state.archived, state.position)
        let lag = durable > archived ? durable.distance(from: archived) : 0
        let since = state.lastAcknowledged == 0 ? nil : Double(now - min(now, state.lastAcknowledged)) / 1e9
        return Destination(
            name: name, archived: archived, checkpoint: state.position, lagBytes: lag,
            lagSegments: max(durable, state.position).rawValue / segmentSize - state.position.rawValue / segmentSize,
            lagSeconds: lag == 0 ? 0 : since, epochNumber: state.epochNumber, capabilities: StoreCapabilities(rawValue: state.capabilities),
            gaps: state.gaps.map(\.range), lastGap: state.lastGap)
    }

    /// The slot that holds the head back, and where; nil where none does.
    var heldBy: (name: String, at: LSN?)? {
        switch hold {
        case .nothing: nil
        case .from(let lsn, let name): (name, lsn)
        case .everything(let name): (name, nil)
        }
    }
}

extension StoreCapabilities {
    private static let names: [(StoreCapabilities, String)] = [
        (.conditionalCreate, "conditional-create"), (.exclusiveCollections, "exclusive-collections"),
        (.cutUploadsInvisible, "cut-uploads-invisible"), (.verifiesChecksum, "verifies-checksum"), (.list, "list"),
        (.move, "move"), (.rangeGet, "range-get"), (.checksumCRC32C, "checksum-crc32c"),
    ]

    /// What the store can do, in words; empty before the first probe.
    var words: [String] { Self.names.filter { contains($0.0) }.map(\.1) }
}
