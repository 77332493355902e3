import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

@Suite struct StatusTests {
    private func status(_ log: String, in scratch: String) async throws -> [String: Any] {
        let ended = try await CommandProcess.run(["status", "--log", log, "--json"], in: scratch)
        #expect(ended.code == 0 && ended.lines.count == 1, "\(ended)")
        return try #require(JSONSerialization.jsonObject(with: Data(ended.bytes)) as? [String: Any])
    }

    @Test func aLogWithoutAnybodyHasItsPositionsAndNobody() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/a \"log\""
            _ = try await CommandProcess.run(["append", "--log", log, "--segment-size", "4KiB"], input: "abc\n", in: scratch)
            let status = try await status(log, in: scratch)
            #expect(status["path"] as? String == log)
            let id = try #require(status["log_id"] as? String)
            #expect(LogID(id) != nil)
            #expect(status["epoch"] as? Int == 1)
            #expect((status["epoch_id"] as? String).flatMap { EpochID(hex: $0) } != nil)
            #expect(status["head_lsn"] as? String == "0")
            #expect(status["written_lsn"] as? String == "11")
            #expect(status["durable_lsn"] as? String == "11")
            #expect(status["segment_size"] as? Int == 4096)
            for key in ["writer", "held_by", "held_lsn"] { #expect(status[key] is NSNull, "\(key)") }
            #expect((status["destinations"] as? [Any])?.isEmpty == true)
            let table = try await CommandProcess.run(["status", "--log", log], in: scratch)
            #expect(table.code == 0)
            #expect(table.lines.contains("durable       11") && table.lines.contains("writer        none"), "\(table.output)")
        }
    }

    @Test func anArchiveTellsHowFarItReaches() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            let archive = "file://\(scratch)/archive/orders"
            _ = try await CommandProcess.run(["append", "--log", log, "--segment-size", "4KiB"], input: "abc\n", in: scratch)
            let missing = try await CommandProcess.run(["status", "--archive", archive], in: scratch)
            #expect(missing.code == 5, "\(missing)")
            let run = try await CommandProcess.run(["run", "--once", "--log", log, "--archive", archive, "--ship-claim-settle", "10ms"], in: scratch)
            #expect(run.code == 0, "\(run)")
            let ended = try await CommandProcess.run(["status", "--archive", archive, "--json"], in: scratch)
            let status = try #require(JSONSerialization.jsonObject(with: Data(ended.bytes)) as? [String: Any])
            #expect(status["archive"] as? String == archive)
            #expect(status["epoch"] as? Int == 1 && status["claimed_epoch"] as? Int == 1)
            #expect(status["first_lsn"] as? String == "0" && status["archived_lsn"] as? String == "11")
            #expect(status["end_lsn"] as? String == "11" && status["end_state"] as? String == "proven" && status["end_error"] is NSNull)
            #expect(status["lists"] as? Bool == true && (status["gaps"] as? [Any])?.isEmpty == true && status["floor"] is NSNull)
            #expect(status["capabilities"] is NSNull, "nothing is written to find them out")
            let epoch = try #require((status["epochs"] as? [[String: Any]])?.first)
            #expect(epoch["number"] as? Int == 1 && epoch["state"] as? String == "current" && epoch["start_lsn"] as? String == "0")
            #expect(epoch["archived_lsn"] as? String == "11" && epoch["id"] as? String == status["epoch_id"] as? String)
            let probed = try await CommandProcess.run(["status", "--archive", archive, "--json", "--probe"], in: scratch)
            #expect(probed.output.contains(#""capabilities":["conditional-create","exclusive-collections","cut-uploads-invisible","list","range-get"]"#), "\(probed)")
            let both = try await CommandProcess.run(["status", "--log", log, "--archive", archive], in: scratch)
            #expect(both.lines.contains("durable       11") && both.lines.contains("archived      at least up to 11"), "\(both.output)")
            #expect(both.lines.contains("end           11") && both.lines.last?.hasSuffix("  0     0     11  current") == true, "\(both.output)")
            let alone = try await CommandProcess.run(["status", "--log", log, "--probe"], in: scratch)
            #expect(alone.code == 2, "\(alone)")
        }
    }

    @Test func theWriterAndWhatHoldsTheHeadAreNamed() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            let writer = try CommandProcess(["append", "--log", log, "--ack"], input: .pipe, in: scratch)
            writer.process.write(Array("one\ntwo\nthree\n".utf8))
            try await waitUntil("three records are acknowledged", within: .seconds(20)) { writer.lines.count == 3 }
            let sidecar = try LogSidecar.attach(directory: log)
            let logID = sidecar.reader.logID
            let epoch = try sidecar.reader.epochs.current.id
            let slot = try sidecar.takeSlot("backup") { SlotState(kind: .destination, logID: logID, position: .zero, epoch: epoch) }
            var status = try await status(log, in: scratch)
            var destination = try #require((status["destinations"] as? [[String: Any]])?.first)
            #expect(status["writer"] as? Int == Int(writer.process.pid))
            #expect(destination["lag_bytes"] as? Int == 35 && destination["lag_seconds"] is NSNull, "nothing was ever acknowledged")

            let before = LinuxTimeSource().now()
            try slot.update { state in
                state.position = LSN(11)
                state.released = LSN(11)
                state.archived = LSN(22)
                state.capabilities = 1 | 1 << 1 | 1 << 5
                state.epochNumber = 1
                state.lastAcknowledged = before - 5_000_000_000
            }
            status = try await self.status(log, in: scratch)
            destination = try #require((status["destinations"] as? [[String: Any]])?.first)
            #expect(destination["name"] as? String == "backup")
            #expect(destination["archived_lsn"] as? String == "22" && destination["checkpoint_lsn"] as? String == "11")
            #expect(destination["lag_bytes"] as? Int == 13)
            let elapsed = Double(LinuxTimeSource().now() - before) / 1e9 + 5
            let seconds = try #require(destination["lag_seconds"] as? Double)
            #expect(seconds >= 4.999 && seconds <= elapsed + 0.001)
            #expect(destination["capabilities"] as? [String] == ["conditional-create", "list"])
            for key in ["url", "state", "last_error"] { #expect(destination[key] is NSNull, "\(key)") }
            // Truncation goes by the lower half of the slot.
            #expect(status["held_by"] as? String == "backup" && status["held_lsn"] as? String == "0")
            try slot.settle()
            status = try await self.status(log, in: scratch)
            #expect(status["held_lsn"] as? String == "11")

            let table = try await CommandProcess.run(["status", "--log", log], in: scratch)
            #expect(table.lines.contains { $0.hasPrefix("backup       22        11          13") }, "\(table.output)")
            #expect(table.output.contains("pid \(writer.process.pid) "))
            slot.close()
            sidecar.detach()
            writer.process.closeInput()
            #expect(try await writer.ended().code == 0)
        }
    }

    @Test func everythingThatWasArchivedIsNoLag() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            _ = try await CommandProcess.run(["append", "--log", log], input: "abc\n", in: scratch)
            let sidecar = try LogSidecar.attach(directory: log)
            let logID = sidecar.reader.logID
            let epoch = try sidecar.reader.epochs.current.id
            let slot = try sidecar.takeSlot("b") {
                var state = SlotState(kind: .destination, logID: logID, position: .zero, epoch: epoch)
                state.archived = LSN(11)
                return state
            }
            slot.close()
            sidecar.detach()
            let destination = try #require((try await status(log, in: scratch)["destinations"] as? [[String: Any]])?.first)
            #expect(destination["lag_bytes"] as? Int == 0 && destination["lag_seconds"] as? Double == 0)
        }
    }
}
