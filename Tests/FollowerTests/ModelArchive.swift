import Archive
import WAL

@testable import Follower

/// A small archive that exists only as what is known of it: which objects are there, and how far they go.
struct ModelArchive {
    struct Object: Hashable {
        var epoch: UInt64
        /// Nil: a segment.
        var level: Int?
        var range: Range<UInt64>

        init(_ epoch: UInt64, _ level: Int?, _ range: Range<UInt64>) {
            self.epoch = epoch
            self.level = level
            self.range = range
        }

        var kind: ObjectMetadata.Kind { level.map { .tail(level: $0) } ?? .segment }
    }

    static let segmentSize: UInt64 = 100
    static let log = LogID(high: 1, low: 2)

    /// Each epoch's fork, and where it begins here.
    var epochs: [(fork: UInt64, start: UInt64?)]
    var objects: Set<Object>
    var gaps: [UInt64: [Range<UInt64>]] = [:]
    /// By epoch.
    var heads: [UInt64: UInt64] = [:]
    var canList = true
    var floor: UInt64 = 0
    /// The first record, where the floor lies inside its object.
    var record: UInt64?
    /// From where on objects are encrypted, and those that are, whatever that says.
    var encryptedFrom: UInt64?
    var sealed: Set<Object> = []
    var archive: UInt64 = 1

    static func name(_ epoch: UInt64) -> EpochName { EpochName(number: epoch, id: EpochID(rawValue: 100 + epoch)) }

    var outline: ArchiveOutline {
        let entries = epochs.enumerated().map { index, epoch in
            StartDocument.Entry(epoch: Self.name(UInt64(index + 1)), fork: LSN(epoch.fork), start: epoch.start.map { LSN($0) })
        }
        let document = StartDocument(parent: entries.count > 1 ? entries[entries.count - 2].epoch : nil, epochs: entries)
        let line = try! EpochLine(document, key: ObjectKey("x"))
        return ArchiveOutline(
            layout: Layout(log: LogName("orders")!), logID: Self.log, archiveID: ArchiveID(high: archive, low: 0), segmentSize: Self.segmentSize,
            line: line, firstObject: max(line.start, LSN(floor)), firstRecord: max(line.start, LSN(record ?? floor)))
    }

    func answer(_ ask: ArchiveChain.Ask) -> ArchiveChain.Answer {
        let (epoch, position) = (ask.source.epoch.number, ask.position.rawValue)
        switch ask.about {
        case .object(let identity, let isEncrypted):
            let found = objects.first {
                $0.epoch == epoch && $0.kind == identity.kind && $0.range.lowerBound == identity.start.rawValue && sealed.contains($0) == isEncrypted
            }
            return found.map { .object(end: LSN($0.range.upperBound)) } ?? .nothing
        case .names: return .names(ObjectNaming(encryptedFrom: encryptedFrom.map { LSN($0) }))
        case .gap:
            let gap = gaps[epoch]?.first { $0.lowerBound == position }
            return gap.map { .gap(end: LSN($0.upperBound), reason: "given up") } ?? .nothing
        case .floor: return floor > 0 ? .floor(objectStart: LSN(floor)) : .nothing
        case .head: return heads[epoch].map { .head(archived: LSN($0)) } ?? .nothing
        case .listing:
            guard canList else { return .cannotList }
            return .listing(isMore: isAnything(of: epoch, from: position))
        }
    }

    private func isAnything(of epoch: UInt64, from position: UInt64) -> Bool {
        objects.contains { $0.epoch == epoch && $0.range.lowerBound >= position } || gaps[epoch]?.contains { $0.lowerBound >= position } ?? false
    }

    /// What a chain from a position comes to, as the format's document says it, with everything at hand.
    enum Outcome: Hashable {
        case end(UInt64)
        case broken(UInt64, ChainBreak.Reason)
    }

    struct Part: Hashable {
        var object: Object
        var range: Range<UInt64>
    }

    func chain(from start: UInt64) -> (parts: [Part], outcome: Outcome) {
        // Under another name than the rule says it is nobody's.
        let objects = objects.filter { object in
            encryptedFrom.map { object.range.lowerBound < $0 || sealed.contains(object) } ?? !sealed.contains(object)
        }
        var parts: [Part] = []
        var position = start
        while true {
            guard let index = epochs.lastIndex(where: { $0.start.map { $0 <= position } ?? false }), let begin = epochs[index].start else {
                return (parts, .broken(position, .pruned))
            }
            let epoch = UInt64(index + 1)
            let clip = epochs[(index + 1)...].compactMap(\.start).min()
            let segment = max(position / Self.segmentSize * Self.segmentSize, begin)
            var found = objects.first { $0.epoch == epoch && $0.level == nil && ($0.range.lowerBound == segment || $0.range.lowerBound == floor) && $0.range.contains(position) }
            for level in 0...3 where found?.level != nil || found == nil {
                if let tail = objects.first(where: { $0.epoch == epoch && $0.level == level && $0.range.lowerBound == position }) { found = tail }
            }
            guard let found else { return (parts, stop(position, epoch, clip)) }
            let end = min(found.range.upperBound, clip ?? .max)
            parts.append(Part(object: found, range: position..<end))
            position = end
        }
    }

    /// Where the object ends that holds a position and that a reader comes to, also where that lies inside of it; nil where none does.
    func end(ofWhatHolds position: UInt64) -> UInt64? {
        guard let index = epochs.lastIndex(where: { $0.start.map { $0 <= position } ?? false }), let begin = epochs[index].start else { return nil }
        let own = objects.filter { $0.epoch == UInt64(index + 1) }
        let clip = epochs[(index + 1)...].compactMap(\.start).min() ?? .max
        if let segment = own.first(where: { $0.level == nil && $0.range.contains(position) }) { return min(segment.range.upperBound, clip) }
        func tail(_ start: UInt64) -> UInt64? { own.filter { $0.level != nil && $0.range.lowerBound == start }.max { $0.level! < $1.level! }?.range.upperBound }
        var walked = max(position / Self.segmentSize * Self.segmentSize, begin)
        while walked < position, let end = tail(walked) {
            if end > position { return min(end, clip) }
            walked = end
        }
        return tail(position).map { min($0, clip) }
    }

    private func stop(_ position: UInt64, _ epoch: UInt64, _ clip: UInt64?) -> Outcome {
        if let gap = gaps[epoch]?.first(where: { $0.lowerBound == position }) {
            return .broken(position, .givenUp(end: LSN(gap.upperBound), reason: "given up"))
        }
        if floor > position { return .broken(position, .pruned) }
        if clip != nil { return .broken(position, .missing) }
        if let head = heads[epoch] { return head > position ? .broken(position, .missing) : .end(position) }
        guard canList else { return .broken(position, .unproven) }
        return isAnything(of: epoch, from: position) ? .broken(position, .missing) : .end(position)
    }
}
