import WAL

/// What a flush waits for: the end of the record that begins at the LSN that was asked for.
///
/// Where that record ends is known once it is durable. Not for two threads.
struct FlushGoal {
    enum Standing {
        /// By every destination, up to this LSN.
        case archived(LSN)
        case notDurable(LSN, durable: LSN)
        /// Destinations that are behind.
        case behind([Behind], goal: LSN)

        struct Behind {
            var name: String
            var archived: LSN
            var isServed: Bool
        }
    }

    private let asked: LSN
    /// Everything below is to be archived; nil while it is not known.
    private var end: LSN?

    init(asked: LSN) { self.asked = asked }

    /// Throws `.notFound` where no destination has a slot, `.usage` for an LSN inside a record, `.damaged` where one gave the range up, and what reading throws.
    mutating func look(at reader: LogReader) throws -> Standing {
        let slots = try reader.slots()
        if let slot = slots.first(where: { $0.state == nil }) {
            throw CommandError(.damaged, "the slot \(slot.name) cannot be read; if nothing needs it: walshipd slots drop --log \(reader.directory) \(slot.name)")
        }
        let destinations = slots.compactMap { slot in slot.state.map { (slot, $0) } }.filter { $0.1.kind == .destination }
        guard !destinations.isEmpty else {
            throw CommandError(.notFound, "no destination has a slot in \(reader.directory); walshipd run makes one when it ships the log")
        }
        guard let end = try end(in: reader) else { return .notDurable(asked, durable: try reader.durableLSN) }
        self.end = end
        for (slot, state) in destinations {
            let gaps = state.gaps.map(\.range) + (state.lastGap.map { [$0] } ?? [])
            if let gap = gaps.first(where: { $0.lowerBound < end && $0.upperBound > asked }) {
                throw CommandError(.damaged, "\(slot.name) gave up LSN \(gap.lowerBound) to \(gap.upperBound): it is not archived there")
            }
        }
        let behind = destinations.filter { max($0.1.archived, $0.1.position) < end }
        if behind.isEmpty { return .archived(end) }
        return .behind(
            behind.map { Standing.Behind(name: $0.0.name, archived: max($0.1.archived, $0.1.position), isServed: $0.0.isServed) }, goal: end)
    }

    /// Nil while the record is not durable.
    private func end(in reader: LogReader) throws -> LSN? {
        if let end { return end }
        let durable = try reader.durableLSN
        if asked > durable { return nil }
        // What was truncated had been passed by every slot, and is no record to be looked up any more.
        if try asked == durable || asked < reader.headLSN { return asked }
        let boundary = try reader.recordBoundary(atOrBelow: asked)
        guard boundary == asked else {
            throw CommandError.usage("LSN \(asked) is inside the record at LSN \(boundary); ask for that one")
        }
        var first = true
        for record in reader.iterFrom(asked) {
            let lsn = try record.get().lsn
            if !first { return lsn }
            first = false
        }
        return try reader.durableLSN
    }
}

extension FlushGoal.Standing {
    /// What is missing and what to do.
    var words: String {
        switch self {
        case .archived(let lsn): "archived up to LSN \(lsn)"
        case .notDurable(let lsn, let durable): "LSN \(lsn) is not durable yet (durable is \(durable)); its writer has to sync it"
        case .behind(let behind, let goal):
            behind.map { destination in
                "\(destination.name) has archived up to LSN \(destination.archived) of \(goal)"
                    + (destination.isServed ? "" : " and nobody serves it (walshipd run does)")
            }.joined(separator: "; ")
        }
    }
}
