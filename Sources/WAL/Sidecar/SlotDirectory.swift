/// The slots of a log: files that hold the durable positions of its consumers.
struct SlotDirectory: Sendable {
    let paths: LogPaths
    let fileSystem: any FileSystem

    /// The names of the slots, in order. Other files in the directory (`*.tmp`) are none.
    func names() throws(WALError) -> [String] {
        guard try fileSystem.status(paths.slots) != nil else { return [] }
        let names = try fileSystem.list(paths.slots).filter(SlotName.isValid).sorted()
        guard names.count <= LogLimits.slotsMax else {
            throw .io(operation: "readdir", path: paths.slots, errno: 7)
        }
        return names
    }

    /// What a slot's two halves hold.
    func read(_ name: String, expecting logID: LogID) throws(WALError) -> SlotFile {
        let file = try fileSystem.open(paths.slot(name), .read)
        defer { file.close() }
        return SlotFile.decode(try file.bytes(at: 0, count: SlotFile.size), expecting: logID)
    }

    /// Whether a process has taken the slot. False where there is none.
    func isServed(_ name: String) throws(WALError) -> Bool {
        guard try fileSystem.status(paths.slot(name)) != nil else { return false }
        let file = try fileSystem.open(paths.slot(name), .read)
        defer { file.close() }
        return try file.isLockedByOther(byte: 0)
    }

    /// Every intact half's newest state, for what it says about durability.
    func states(expecting logID: LogID) throws(WALError) -> [SlotState] {
        var states: [SlotState] = []
        for name in try names() {
            if let state = try read(name, expecting: logID).current { states.append(state) }
        }
        return states
    }

    /// Up to where truncation may go; nil where no slot holds it, `.some(nil)` where one holds everything.
    func hold(expecting logID: LogID) throws(WALError) -> SlotHold {
        var hold = SlotHold.nothing
        for name in try names() {
            switch try read(name, expecting: logID).hold {
            case .everything: return .everything(name)
            case .from(let lsn):
                if case .from(let lower, _) = hold, lower <= lsn { continue }
                hold = .from(lsn, name)
            }
        }
        return hold
    }

    /// Makes durable which slots there are: who made or removed one may have been killed before that.
    func settleNames() throws(WALError) {
        if try fileSystem.status(paths.slots) != nil { try fileSystem.syncDirectory(paths.slots) }
    }

    /// Makes durable what `hold` reads: positions that may be in the page cache only, because who moved them was killed.
    func settle() throws(WALError) {
        for name in try names() {
            let file = try fileSystem.open(paths.slot(name), .read)
            defer { file.close() }
            try file.sync()
        }
        try settleNames()
    }

    /// Makes a slot with both halves written and synced, so that it can be written on a full disk. Replaces one of that name.
    func create(_ name: String, _ state: SlotState) throws(WALError) {
        precondition(SlotName.isValid(name), "a slot's name was checked before")
        if try fileSystem.status(paths.slots) == nil { try fileSystem.makeDirectory(paths.slots) }
        // Also where it was there: whoever made it may have been killed before this.
        try fileSystem.syncDirectory(paths.directory)
        let temporary = paths.slot(name) + ".tmp"
        try fileSystem.unlink(temporary)
        let file = try fileSystem.open(temporary, .createNew)
        defer { file.close() }
        try file.allocate(offset: 0, length: UInt64(SlotFile.size))
        var state = state
        for _ in 0..<2 {
            try file.write(state.encode(), at: UInt64(SlotFile.offset(ofGeneration: state.generation)))
            state.generation += 1
        }
        try file.sync()
        try fileSystem.rename(temporary, to: paths.slot(name))
        try fileSystem.syncDirectory(paths.slots)
    }

    func remove(_ name: String) throws(WALError) {
        guard try fileSystem.status(paths.slots) != nil else { return }
        try fileSystem.unlink(paths.slot(name))
        try fileSystem.syncDirectory(paths.slots)
    }
}

/// What holds truncation back.
public enum SlotHold: Hashable, Sendable {
    case nothing
    /// Records from this LSN on are still needed by this slot.
    case from(LSN, String)
    /// A slot cannot be read, or is of a newer version: it may need everything.
    case everything(String)
}
