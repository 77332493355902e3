import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

@Suite struct FlushTests {
    private func flush(_ log: String, _ arguments: [String] = [], in scratch: String) async throws -> CommandProcess.Ended {
        try await CommandProcess.run(["flush", "--log", log, "--timeout", "200ms"] + arguments, in: scratch)
    }

    @Test func aFlushEndsWhenEveryDestinationHasTheRecord() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            _ = try await CommandProcess.run(["append", "--log", log], input: "one\ntwo\n", in: scratch)
            let nobody = try await flush(log, in: scratch)
            #expect(nobody.code == 5, "\(nobody)")

            let sidecar = try LogSidecar.attach(directory: log)
            defer { sidecar.detach() }
            let logID = sidecar.reader.logID
            let epoch = try sidecar.reader.epochs.current.id
            let slots = try ["a", "b"].map { name in
                try sidecar.takeSlot(name) { () throws(WALError) in SlotState(kind: .destination, logID: logID, position: .zero, epoch: epoch) }
            }
            defer { for slot in slots { slot.close() } }
            try slots[0].update { $0.archived = LSN(22) }
            let waiting = try await flush(log, in: scratch)
            #expect(waiting.code == 6 && waiting.error.contains("b has archived up to LSN 0 of 22"), "\(waiting)")

            // The first record, of which the archive has all but the last byte, and then all.
            try slots[1].update { $0.archived = LSN(10) }
            let almost = try await flush(log, ["--wait", "0"], in: scratch)
            #expect(almost.code == 6, "\(almost)")
            let running = try CommandProcess(["flush", "--log", log, "--wait", "0"], in: scratch)
            try slots[1].update { $0.archived = LSN(11) }
            let ended = try await running.ended()
            #expect(ended.code == 0 && ended.error.contains("archived up to LSN 11"), "\(ended)")
            let second = try await flush(log, ["--wait", "11"], in: scratch)
            #expect(second.code == 6, "\(second)")
        }
    }

    @Test func anLSNThatIsNoRecordIsAnError() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            _ = try await CommandProcess.run(["append", "--log", log], input: "one\ntwo\n", in: scratch)
            let sidecar = try LogSidecar.attach(directory: log)
            defer { sidecar.detach() }
            let logID = sidecar.reader.logID
            let epoch = try sidecar.reader.epochs.current.id
            let slot = try sidecar.takeSlot("a") { () throws(WALError) in
                var state = SlotState(kind: .destination, logID: logID, position: .zero, epoch: epoch)
                state.archived = LSN(22)
                return state
            }
            defer { slot.close() }
            let inside = try await flush(log, ["--wait", "12"], in: scratch)
            #expect(inside.code == 2 && inside.error.contains("inside the record at LSN 11"), "\(inside)")
            let later = try await flush(log, ["--wait", "33"], in: scratch)
            #expect(later.code == 6 && later.error.contains("not durable yet"), "\(later)")
            try slot.update { $0.gaps = [SlotGap(range: LSN(11)..<LSN(22), time: 0, reason: "")] }
            let gap = try await flush(log, ["--wait", "11"], in: scratch)
            #expect(gap.code == 3 && gap.error.contains("gave up"), "\(gap)")
        }
    }
}
