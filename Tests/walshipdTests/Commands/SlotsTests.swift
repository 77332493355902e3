import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

@Suite struct SlotsTests {
    /// A log of three records of 3 bytes, with a pin and a destination's slot.
    private func logWithSlots(in scratch: String) throws -> String {
        let log = "\(scratch)/log"
        let writer = try SegmentedLog.open(directory: log, segmentSize: 4096)
        for text in ["one", "two", "six"] { _ = try writer.append(text.utf8) }
        try writer.sync()
        try writer.pin("reports", at: LSN(11))
        let sidecar = try LogSidecar.attach(directory: log)
        let logID = sidecar.reader.logID
        let epoch = try sidecar.reader.epochs.current.id
        let slot = try sidecar.takeSlot("backup") { () throws(WALError) in
            var state = SlotState(kind: .destination, logID: logID, position: .zero, epoch: epoch)
            state.archived = LSN(22)
            return state
        }
        slot.close()
        sidecar.detach()
        try writer.close()
        return log
    }

    @Test func everySlotIsListedWithWhatItHolds() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try logWithSlots(in: scratch)
            let table = try await CommandProcess.run(["slots", "list", "--log", log], in: scratch)
            #expect(table.code == 0 && table.lines.count == 3, "\(table)")
            #expect(table.lines.contains { $0.hasPrefix("backup ") && $0.hasSuffix("from 0") && $0.contains("22") })
            let ended = try await CommandProcess.run(["slots", "list", "--log", log, "--json"], in: scratch)
            let slots = try #require(JSONSerialization.jsonObject(with: Data(ended.bytes)) as? [[String: Any]])
            #expect(slots.compactMap { $0["name"] as? String } == ["backup", "reports"])
            #expect(slots.compactMap { $0["kind"] as? String } == ["destination", "pin"])
            #expect(slots.compactMap { $0["held_lsn"] as? String } == ["0", "11"])
            #expect(slots.compactMap { $0["served"] as? Bool } == [false, false])
        }
    }

    @Test func aSlotIsDroppedByNameAndWhatHeldItIsSaid() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try logWithSlots(in: scratch)
            let missing = try await CommandProcess.run(["slots", "drop", "--log", log, "nobody"], in: scratch)
            #expect(missing.code == 5, "\(missing)")
            let dropped = try await CommandProcess.run(["slots", "drop", "--log", log, "backup"], in: scratch)
            #expect(dropped.code == 0 && dropped.error.contains("reports holds records from LSN 11"), "\(dropped)")
            let pin = try await CommandProcess.run(["slots", "drop", "--log", log, "reports"], in: scratch)
            #expect(pin.code == 0 && pin.error.contains("nothing holds truncation back now"), "\(pin)")
            let empty = try await CommandProcess.run(["slots", "list", "--log", log], in: scratch)
            #expect(empty.code == 0 && empty.lines.isEmpty, "\(empty)")
        }
    }

    @Test func aSlotThatIsServedStays() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try logWithSlots(in: scratch)
            let sidecar = try LogSidecar.attach(directory: log)
            defer { sidecar.detach() }
            let slot = try sidecar.takeSlot("backup") { () throws(WALError) in throw .cancelled }
            let refused = try await CommandProcess.run(["slots", "drop", "--log", log, "backup"], in: scratch)
            #expect(refused.code == 1 && refused.error.contains("serves the slot"), "\(refused)")
            #expect(try sidecar.slotNames() == ["backup", "reports"])
            slot.close()
            #expect(try await CommandProcess.run(["slots", "drop", "--log", log, "backup"], in: scratch).code == 0)
        }
    }

    @Test func aSlotThatCannotBeReadHoldsEverythingUntilItIsDropped() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try logWithSlots(in: scratch)
            try Data(repeating: 7, count: 8192).write(to: URL(filePath: "\(log)/slots/backup"))
            let table = try await CommandProcess.run(["slots", "list", "--log", log], in: scratch)
            #expect(table.code == 0 && table.lines.contains { $0.contains("unreadable") && $0.contains("everything") }, "\(table)")
            let dropped = try await CommandProcess.run(["slots", "drop", "--log", log, "backup"], in: scratch)
            #expect(dropped.code == 0, "\(dropped)")
        }
    }
}
