import Archive
import Foundation
import Testing
import TestSupport
import WAL

@testable import walshipd

/// Many logs and several destinations, by the program, with real servers.
@Suite struct SeveralLogsTests {
    @discardableResult
    private func write(_ directory: String, records: Int, seed: UInt8 = 1) throws -> LSN {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
        for index in 0..<records { _ = try log.append([UInt8](repeating: seed &+ UInt8(truncatingIfNeeded: index), count: 200)) }
        let sync: () throws -> LSN = { try log.sync() }
        let end = try sync()
        try log.close()
        return end
    }

    private func archived(_ directory: String, slot: String) throws -> LSN? {
        let sidecar = try LogSidecar.attach(directory: directory)
        defer { sidecar.detach() }
        return try sidecar.slotState(slot)?.archived
    }

    private func configuration(_ logs: String, _ destinations: [(name: String, url: String)], in scratch: String) throws -> String {
        var text = "logs:\n\(logs)\ndestinations:\n"
        for destination in destinations { text += "  - {name: \(destination.name), url: \"\(destination.url)\"}\n" }
        text += "ship: {claim-settle: 10ms, tail-interval: 10ms}\nretry: {delay-max: 100ms}\n"
        try text.write(toFile: "\(scratch)/w.yaml", atomically: true, encoding: .utf8)
        return "\(scratch)/w.yaml"
    }

    @Test func logsAreFoundWhileTheProgramRunsAndMayVanish() async throws {
        try await withScratch { scratch async throws in
            try FileManager.default.createDirectory(atPath: "\(scratch)/data/lost+found/wal", withIntermediateDirectories: true)
            let file = try configuration("  - path: \"\(scratch)/data/*/wal\"", [("d", "file://\(scratch)/archive")], in: scratch)
            let first = try write("\(scratch)/data/a/wal", records: 60)
            let daemon = try Program(Program.walshipd, ["run", "--config", file], in: scratch)
            let slot = "d"
            #expect(try await wait { try archived("\(scratch)/data/a/wal", slot: slot) == first })
            let second = try write("\(scratch)/data/b/wal", records: 60)
            #expect(try await wait { try archived("\(scratch)/data/b/wal", slot: slot) == second }, "one that appears")
            try write("\(scratch)/data/bad name/wal", records: 1)
            #expect(try await wait { daemon.standardError.contains("'bad name' is no name for an archive") })
            try FileManager.default.removeItem(atPath: "\(scratch)/data/a")
            #expect(try await wait { daemon.standardError.contains("the log is gone") }, "one that vanishes")
            let more = try write("\(scratch)/data/b/wal", records: 60, seed: 7)
            #expect(try await wait { try archived("\(scratch)/data/b/wal", slot: slot) == more }, "the others go on")
            daemon.signal(SIGTERM)
            let ended = try await daemon.ended()
            #expect(ended.code == 0, "\(ended.error)")
        }
    }

    @Test func onceShipsEveryLogThatAPatternFinds() async throws {
        try await withScratch { scratch async throws in
            let file = try configuration(
                "  - {path: \"\(scratch)/data/*\", name: \"h1-*\"}", [("d", "file://\(scratch)/archive")], in: scratch)
            let none = try await Program.run(Program.walshipd, ["run", "--once", "--config", file], in: scratch)
            #expect(none.code == 5 && none.error.contains("there is no log that matches"), "\(none)")
            for name in ["a", "b"] { try write("\(scratch)/data/\(name)", records: 40) }
            let ended = try await Program.run(Program.walshipd, ["run", "--once", "--config", file], in: scratch)
            #expect(ended.code == 0, "\(ended.error)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch)/archive").filter { !$0.hasPrefix(".") }.sorted() == ["h1-a", "h1-b"])
        }
    }

    /// nginx, the embedded server and a directory; then one that hangs and one that holds another log.
    @Test func threeKindsOfStorageAndTwoThatFailAreIndependent() async throws {
        try await withScratch { scratch async throws in
            let nginx = try await NginxServer.start()
            let serve = try await ServeProcess(root: "\(scratch)/root", in: scratch)
            // Accepts connections in its queue and never answers.
            let silent = try SilentListener()
            defer { silent.close() }
            try write("\(scratch)/other", records: 10)
            let foreign = try await Program.run(
                Program.walshipd, ["run", "--log", "\(scratch)/other", "--once", "--ship-claim-settle", "10ms", "--archive", "file://\(scratch)/foreign/log"],
                in: scratch)
            #expect(foreign.code == 0, "\(foreign.error)")
            let end = try write("\(scratch)/log", records: 100)
            let file = try configuration(
                "  - path: \(scratch)/log",
                [
                    ("nginx", "\(nginx.url)/base"), ("serve", "\(serve.url)/base"), ("directory", "file://\(scratch)/archive"),
                    ("hangs", "http://127.0.0.1:\(silent.port)/base"), ("diverges", "file://\(scratch)/foreign"),
                ], in: scratch)
            let daemon = try Program(Program.walshipd, ["run", "--config", file, "--shutdown-deadline", "1s"], in: scratch)
            for slot in ["nginx", "serve", "directory"] {
                #expect(try await wait { try archived("\(scratch)/log", slot: slot) == end }, "\(slot)")
            }
            #expect(try await wait { daemon.standardError.contains("this is the archive of another log") })
            #expect(try archived("\(scratch)/log", slot: "hangs") == .zero)
            #expect(try archived("\(scratch)/log", slot: "diverges") == .zero)
            #expect(try LogContents.head("\(scratch)/log") == .zero, "two destinations still need it all")
            let more = try write("\(scratch)/log", records: 20, seed: 9)
            for slot in ["nginx", "serve", "directory"] {
                #expect(try await wait { try archived("\(scratch)/log", slot: slot) == more }, "\(slot) goes on")
            }
            daemon.signal(SIGTERM)
            let ended = try await daemon.ended()
            #expect(ended.code == 4, "the gravest: \(ended.error)")
            for slot in ["hangs", "diverges"] {
                let dropped = try await Program.run(Program.walshipd, ["slots", "drop", "--log", "\(scratch)/log", slot], in: scratch)
                #expect(dropped.code == 0, "\(dropped.error)")
            }
            let three = try configuration(
                "  - path: \(scratch)/log",
                [("nginx", "\(nginx.url)/base"), ("serve", "\(serve.url)/base"), ("directory", "file://\(scratch)/archive")], in: scratch)
            let last = try await Program.run(Program.walshipd, ["run", "--config", three, "--once"], in: scratch)
            #expect(last.code == 0, "\(last.error)")
            #expect(try LogContents.head("\(scratch)/log") > .zero, "all three have it")
            _ = try await serve.stop()
            withExtendedLifetime(nginx) {}
        }
    }
}
