/// Moves the head of a log and takes away what lies below it: the one place where bytes are deleted, for the writer and for sidecars.
///
/// Everything happens under the maintenance lock: facts are re-read there, the slots are read there, and the head is durable before the first
/// segment goes. Safe beside appends, syncs and readers.
struct PrefixTruncation {
    let time: any TimeSource
    let control: ControlFile
    let medium: any LogMedium
    let slots: SlotDirectory

    /// The head becomes the greatest record and batch boundary at or below `lsn` and every slot. `durable` is the log's own, asked for under the lock.
    func truncateBefore(_ lsn: LSN, durable: () throws(WALError) -> LSN) throws(WALError) -> LSN {
        try control.underMaintenance(time) { () throws(WALError) in
            var facts = try requireOriginal()
            // Whatever fails: the facts may have been written, now or by somebody who died before he told of it.
            defer { tellHead() }
            if !(try control.readFacts().isSettled) { facts = try control.writeFacts(facts, epochs: try control.epochTable(facts)) }
            // What is being cut off is no part of the log, whatever its writer has known to be durable.
            let known = try durable()
            let durable = min(known, facts.discardFrom ?? known)
            var target = min(lsn, durable)
            try slots.settle()
            switch try slots.hold(expecting: facts.logID) {
            case .nothing: break
            case .from(let held, _): target = min(target, held)
            case .everything: return facts.head
            }
            guard target > facts.head else {
                // An earlier removal may have been interrupted, by the death of a process that had not yet synced these facts.
                try control.file.sync()
                try medium.removeWindows(below: facts.head)
                return facts.head
            }
            let epochs = try control.epochTable(facts)
            let head = facts.head
            let medium = medium
            let search = BoundarySearch(
                reader: medium.makeReader(head: { head }), checksums: FrameChecksums(logID: facts.logID, epochs: epochs),
                maxRecordSize: facts.maxRecordSize, segmentSize: medium.windowSize, head: head, durable: durable)
            let boundary = try search.greatestBoundary(atOrBelow: target)
            precondition(boundary >= facts.head, "the head does not go back")
            precondition(boundary <= target, "the head does not pass a slot")
            guard boundary > facts.head else { return facts.head }
            facts.head = boundary
            facts.floor = max(facts.floor, boundary)
            _ = try control.writeFacts(facts, epochs: epochs)
            control.live.head = boundary
            try medium.removeWindows(below: boundary)
            return boundary
        }
    }

    func pin(_ name: String, at lsn: LSN, durable: LSN) throws(WALError) {
        try SlotName.requireUsable(name)
        try control.underMaintenance(time) { () throws(WALError) in
            let facts = try requireOriginal()
            let durable = min(durable, facts.discardFrom ?? durable)
            guard lsn >= facts.head else { throw .positionLost(head: facts.head) }
            guard lsn <= durable else { throw .pinAboveDurable(lsn, durable) }
            if try slots.names().contains(name) {
                guard try slots.read(name, expecting: facts.logID).current?.kind == .pin else {
                    throw .encoding(reason: "the slot \(name) belongs to a destination, not to a pin")
                }
            }
            let epochs = try control.epochTable(facts)
            try slots.create(
                name, SlotState(kind: .pin, logID: facts.logID, position: lsn, epoch: epochs.epoch(at: lsn).id))
        }
    }

    func unpin(_ name: String) throws(WALError) {
        try SlotName.requireUsable(name)
        try control.underMaintenance(time) { () throws(WALError) in
            guard try slots.names().contains(name) else { return }
            let facts = try control.requireFacts()
            guard try slots.read(name, expecting: facts.logID).current?.kind != .destination else {
                throw .encoding(reason: "the slot \(name) belongs to a destination, not to a pin")
            }
            try slots.remove(name)
        }
    }

    /// Has the live page say where the facts say that the log begins, as far as they can be read: its head is what the writer goes by.
    private func tellHead() {
        guard let head = (try? control.readFacts())?.facts?.head, head > control.live.head else { return }
        control.live.head = head
    }

    /// The facts of a directory that is no copy: a copy stays as it is until it is promoted.
    private func requireOriginal() throws(WALError) -> Facts {
        let found = try control.readFacts()
        guard let facts = found.facts else { return try control.requireFacts() }
        if found.isCopied { throw .stopped(cause: .replica) }
        return facts
    }
}
