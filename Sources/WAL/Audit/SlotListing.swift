/// A slot of a log as a reader finds it, without taking it.
package struct SlotListing: Sendable {
    package var name: String
    /// nil where the slot cannot be read, or is of a newer version: then it holds everything.
    package var state: SlotState?
    package var hold: SlotFile.Hold
    /// A process has taken it.
    package var isServed: Bool
    /// What is wrong with one half while the other is intact: what a crash while it was written leaves, too.
    package var damagedHalf: FormatError?
}

extension LogReader {
    /// All slots in the order of their names. Those that go meanwhile are left out.
    package func slots() throws(WALError) -> [SlotListing] {
        var listings: [SlotListing] = []
        for name in try files.slots.names() {
            let slot: SlotFile
            let isServed: Bool
            do throws(WALError) {
                isServed = try files.slots.isServed(name)
                slot = try files.slots.read(name, expecting: logID)
            } catch where error.isMissingFile {
                continue
            }
            var damaged: FormatError?
            if slot.current != nil {
                for case .failure(let error) in slot.halves where error.kind != .empty { damaged = error }
            }
            listings.append(SlotListing(name: name, state: slot.current, hold: slot.hold, isServed: isServed, damagedHalf: damaged))
        }
        return listings
    }

    /// What holds truncation back, of slots that were listed before.
    package static func hold(of slots: [SlotListing]) -> SlotHold {
        var hold = SlotHold.nothing
        for slot in slots {
            guard case .from(let lsn) = slot.hold else { return .everything(slot.name) }
            if case .from(let lower, _) = hold, lower <= lsn { continue }
            hold = .from(lsn, slot.name)
        }
        return hold
    }

    /// The process that has the log open for writing; nil when nobody has.
    package var writerProcess: Int32? {
        get throws(WALError) {
            // "pid <decimal> …", see the format.
            guard let words = try writer?.split(separator: " "), words.count > 1, words[0] == "pid" else { return nil }
            return Int32(words[1])
        }
    }

    /// Nothing at the path, or nothing in it but leftovers of our own: no log was ever completed there.
    package static func isVacant(directory: String) throws(WALError) -> Bool {
        let opener = LogOpener(
            paths: LogPaths(directory: directory), kind: .directory(segmentSize: nil), fileSystem: LinuxFileSystem(),
            time: LinuxTimeSource(), configuration: .init())
        return try opener.look().place == .vacant
    }
}
