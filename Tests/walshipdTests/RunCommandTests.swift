import Archive
import Foundation
import Testing
import WAL

@testable import walshipd

/// `walshipd run` as a program: exit codes, what is archived, and the graceful end.
@Suite struct RunCommandTests {
    private func write(_ directory: String, records: Int, seed: UInt8 = 1) throws -> LSN {
        let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
        for index in 0..<records {
            _ = try log.append([UInt8](repeating: seed &+ UInt8(truncatingIfNeeded: index), count: 100 + index % 50))
        }
        let end: () throws -> LSN = { try log.sync() }
        let lsn = try end()
        try log.close()
        return lsn
    }

    private func once(_ scratch: String, _ arguments: String...) async throws -> Program.Ended {
        try await Program.run(
            Program.walshipd, ["run", "--log", "\(scratch)/log", "--once", "--ship-claim-settle", "10ms"] + arguments, in: scratch)
    }

    @Test func onceArchivesEverythingAndZstdGivesTheLogsBytes() async throws {
        try await withScratch { scratch async throws in
            let end = try write("\(scratch)/log", records: 100)
            let reader = try LogReader.open(directory: "\(scratch)/log")
            let whole = try reader.verifiedRange(.zero..<end).bytes
            reader.close()
            let ended = try await once(scratch, "--archive", "file://\(scratch)/archive/orders")
            #expect(ended.code == 0, "\(ended.error)")
            let root = URL(filePath: "\(scratch)/archive/orders")
            var objects: [(start: UInt64, path: String)] = []
            for path in try FileManager.default.subpathsOfDirectory(atPath: root.path) where path.hasSuffix(".zst") {
                objects.append((UInt64(path.split(separator: "/").last!.dropLast(4))!, root.appending(path: path).path))
            }
            var all = ""
            for object in objects.sorted(by: { $0.start < $1.start }) { all += " '\(object.path)'" }
            let plain = try await Program.run("sh", ["-c", "zstd -dc \(all) > '\(scratch)/plain'"], in: scratch)
            #expect(plain.code == 0, "\(plain.error)")
            #expect(FileManager.default.contents(atPath: "\(scratch)/plain").map { [UInt8]($0) } == whole)
        }
    }

    @Test func exitCodesSayWhatIsWrong() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            let missing = try await once(scratch, "--archive", archive)
            #expect(missing.code == 5 && missing.error.contains("there is no log in"), "\(missing)")
            _ = try write("\(scratch)/log", records: 10)
            for url in ["http://u:hunter2@h/a/b", "http://h", "nothing"] {
                let refused = try await once(scratch, "--archive", url)
                #expect(refused.code == 2 && !refused.error.contains("hunter2"), "\(refused)")
            }
            let away = try await once(scratch, "--archive", "http://127.0.0.1:1/a/orders", "--timeout", "500ms")
            #expect(away.code == 6 && away.error.contains("not done in time"), "\(away)")
            #expect(try await once(scratch, "--archive", archive).code == 0)
            _ = try write("\(scratch)/other", records: 10)
            let foreign = try await Program.run(
                Program.walshipd, ["run", "--log", "\(scratch)/other", "--once", "--archive", archive], in: scratch)
            #expect(foreign.code == 4 && foreign.error.contains("another log"), "\(foreign)")
            let copied = try await Program.run("cp", ["-r", "\(scratch)/log", "\(scratch)/copy"], in: scratch)
            #expect(copied.code == 0)
            let copy = try await Program.run(
                Program.walshipd, ["run", "--log", "\(scratch)/copy", "--once", "--archive", archive], in: scratch)
            #expect(copy.code == 4 && copy.error.contains("run promote first"), "\(copy)")
        }
    }

    @Test func checkShowsWhatTheSettingsComeToAndDoesNothing() async throws {
        try await withScratch { scratch async throws in
            _ = try write("\(scratch)/log", records: 1)
            let before = try FileManager.default.subpathsOfDirectory(atPath: scratch + "/log").sorted()
            try """
                logs: [{path: "\(scratch)/log", name: orders}, {path: "\(scratch)/none"}, {path: "\(scratch)/many/*"}]
                destinations:
                  - {url: "file://\(scratch)/archive", name: near}
                  - {url: "http://storage.example/a", ship: {bandwidth-limit: 1MiB, tail-interval: 10s}}
                """.write(toFile: "\(scratch)/w.yaml", atomically: true, encoding: .utf8)
            let ended = try await Program.run(Program.walshipd, ["run", "--check", "--config", "\(scratch)/w.yaml"], in: scratch)
            #expect(ended.code == 0, "\(ended)")
            for words in [
                "logs that match \(scratch)/many/*: 0 now", "file://\(scratch)/archive/orders", "near", "http://storage.example/a/none", "d-",
                "not there yet", "1MiB per second for all uploads together", "every 10s at most", "off: whoever can read the store can read the log",
            ] { #expect(ended.output.contains(words), "\(words) is missing in \(ended.output)") }
            #expect(ended.error.contains("warning: http://storage.example/a: what is shipped crosses the network unencrypted"))
            #expect(ended.error.hasSuffix("the settings can be used\n"))
            #expect(!FileManager.default.fileExists(atPath: "\(scratch)/archive"))
            #expect(try FileManager.default.subpathsOfDirectory(atPath: scratch + "/log").sorted() == before, "nothing was made")

            let json = try await Program.run(Program.walshipd, ["run", "--check", "--json", "--config", "\(scratch)/w.yaml"], in: scratch)
            let plan = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
            let logs = try #require(plan["logs"] as? [[String: Any]])
            #expect(logs.map { $0["exists"] as? Bool } == [true, false])
            #expect((logs[0]["archives"] as? [[String: String]])?.first == ["url": "file://\(scratch)/archive/orders", "slot": "near"])
            #expect((plan["destinations"] as? [[String: Any]])?.map { $0["bandwidth_limit"] as? Int } == [nil, 1 << 20])
            #expect((plan["warnings"] as? [String])?.count == 1)

            try "logs: [{path: /x}]\ndestinations: [{url: nothing}]".write(toFile: "\(scratch)/w.yaml", atomically: true, encoding: .utf8)
            let refused = try await Program.run(Program.walshipd, ["run", "--check", "--config", "\(scratch)/w.yaml"], in: scratch)
            #expect(refused.code == 2 && refused.output.isEmpty && refused.error.contains("w.yaml:2: destinations[0].url"), "\(refused)")
        }
    }

    @Test func theDaemonWaitsForItsLogShipsToServeAndEndsWithTheTailArchived() async throws {
        try await withScratch { scratch async throws in
            let server = try await ServeProcess(root: "\(scratch)/root", in: scratch)
            let daemon = try Program(
                Program.walshipd,
                ["run", "--log", "\(scratch)/log", "--archive", "\(server.url)/a/orders", "--ship-claim-settle", "10ms", "--ship-tail-interval", "off"],
                in: scratch)
            #expect(try await wait(until: { daemon.standardError.contains("waiting for its writer") }))
            let end = try write("\(scratch)/log", records: 60)
            #expect(try await wait(until: { daemon.standardError.contains(" shipping ") }))
            let segments = "\(scratch)/root/a/orders/segments"
            #expect(try await wait(until: { FileManager.default.fileExists(atPath: segments) }))
            daemon.signal(SIGTERM)
            let ended = try await daemon.ended()
            #expect(ended.code == 0, "\(ended.error)")
            let sidecar = try LogSidecar.attach(directory: "\(scratch)/log")
            let slot = try #require(try sidecar.slotNames().first)
            #expect(try sidecar.slotState(slot)?.archived == end)
            sidecar.detach()
            _ = try await server.stop()
        }
    }
}
