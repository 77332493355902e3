import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

/// What happens to two writers of one archive, with the program: the wrong one ends with 4, and no byte of the other is touched.
@Suite struct FencingScenarioTests {
    @discardableResult
    private func append(_ directory: String, _ count: Int, _ byte: UInt8) throws -> LSN {
        let log = try SegmentedLog.open(directory: directory, segmentSize: FileManager.default.fileExists(atPath: directory) ? nil : 4096)
        for _ in 0..<count { _ = try log.append([UInt8](repeating: byte, count: 200)) }
        let sync: () throws -> LSN = { try log.sync() }
        let end = try sync()
        try log.close()
        return end
    }

    private func records(_ directory: String) throws -> [[UInt8]] { try LogContents.records(directory).map(\.data) }

    /// The restored log has all records, and the local one, whose beginning may have been truncated, is its end.
    private func expectWhole(_ restored: String, of local: String, count: Int) throws {
        let (all, kept) = (try records(restored), try records(local))
        #expect(all.count == count && !kept.isEmpty && all.suffix(kept.count) == kept[...])
    }

    /// Every file below `path`, by its path there.
    private func tree(_ path: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isDirectory), !isDirectory.boolValue else { continue }
            files[name] = FileManager.default.contents(atPath: "\(path)/\(name)")
        }
        return files
    }

    private static let quick = ["--ship-claim-settle", "10ms", "--ship-tail-interval", "20ms"]

    private func run(_ scratch: String, _ arguments: String...) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, arguments, in: scratch)
    }

    private func ship(_ scratch: String, _ log: String, _ archive: String) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, ["run", "--once", "--log", log, "--archive", archive] + Self.quick, in: scratch)
    }

    private func shell(_ scratch: String, _ script: String) async throws {
        let ended = try await Program.run("sh", ["-c", "cd '\(scratch)' && \(script)"], in: scratch)
        #expect(ended.code == 0, "\(ended)")
    }

    /// The machine hung, another one took over, and then it goes on where it was.
    @Test func aShipperThatWakesUpAfterAPromotionStops() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            let end = try append("\(scratch)/log", 60, 1)
            let daemon = try Program(Program.walshipd, ["run", "--log", "\(scratch)/log", "--archive", archive] + Self.quick, in: scratch)
            try #require(
                await wait {
                    guard let sidecar = try? LogSidecar.attach(directory: "\(scratch)/log") else { return false }
                    defer { sidecar.detach() }
                    return try sidecar.slotNames().first.flatMap { try sidecar.slotState($0) }?.archived == end
                })
            daemon.signal(SIGSTOP)
            #expect(try await run(scratch, "restore", "--archive", archive, "--to", "\(scratch)/second").code == 0)
            let promoted = try await run(scratch, "promote", "--log", "\(scratch)/second", "--archive", archive)
            #expect(promoted.code == 0, "\(promoted)")
            try append("\(scratch)/second", 60, 2)
            #expect(try await ship(scratch, "\(scratch)/second", archive).code == 0)
            // The old writer had been writing all the time.
            try append("\(scratch)/log", 60, 3)
            let before = try tree("\(scratch)/archive")
            daemon.signal(SIGCONT)
            let ended = try await daemon.ended()
            #expect(ended.code == 4 && ended.error.contains("successor"), "\(ended)")
            let after = try tree("\(scratch)/archive")
            // What it had under way lies under its own epoch's names. Tails of its own may have been removed.
            for (path, bytes) in before where !path.contains("/0000000001-") { #expect(after[path] == bytes, "\(path)") }
            for path in after.keys where before[path] == nil { #expect(path.contains("/0000000001-"), "\(path)") }
            #expect(try await run(scratch, "restore", "--archive", archive, "--to", "\(scratch)/third").code == 0)
            try expectWhole("\(scratch)/third", of: "\(scratch)/second", count: 120)
            // It does not come back either.
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 4)
        }
    }

    /// Log and slot go back together, under the old identity: inodes stay.
    @Test func aMachineThatWasSetBackToASnapshotDoesNotWriteIntoArchivedTerritory() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            try append("\(scratch)/log", 30, 1)
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 0)
            try await shell(scratch, "cp -r log snapshot")
            try append("\(scratch)/log", 45, 2)
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 0)
            let before = try tree("\(scratch)/archive")
            try await shell(
                scratch,
                "cd log && find . -type f | while read f; do [ -e \"../snapshot/$f\" ] && cat \"../snapshot/$f\" > \"$f\" || rm \"$f\"; done; "
                    + "cd ../snapshot && find . -type f | while read f; do [ -e \"../log/$f\" ] || cat \"$f\" > \"../log/$f\"; done")
            // As it is, behind the archive; and after it went on, past it.
            for count in [0, 10, 80] {
                if count > 0 { try append("\(scratch)/log", count, 3) }
                let ended = try await ship(scratch, "\(scratch)/log", archive)
                #expect(ended.code == 4, "\(count): \(ended)")
                #expect(try tree("\(scratch)/archive") == before)
            }
        }
    }

    @Test func aCopiedDirectoryAlsoCopiedLiveIsRefusedAndTouchesNothing() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            try append("\(scratch)/log", 30, 1)
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 0)
            let live = try SegmentedLog.open(directory: "\(scratch)/log")
            for _ in 0..<30 { _ = try live.append([UInt8](repeating: 5, count: 200)) }
            try await shell(scratch, "cp -r log live")
            try live.close()
            try await shell(scratch, "cp -r log closed")
            let before = try tree("\(scratch)/archive")
            for name in ["live", "closed"] {
                let copy = try tree("\(scratch)/\(name)")
                let ended = try await ship(scratch, "\(scratch)/\(name)", archive)
                #expect(ended.code == 4 && ended.error.contains("promote"), "\(ended)")
                #expect(try tree("\(scratch)/\(name)") == copy)
                #expect(try tree("\(scratch)/archive") == before)
            }
        }
    }

    /// Lesson 21: the copy is opened, and its agent started with production's configuration.
    @Test func aRestoreDrillWithProductionsConfigurationTouchesNothing() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            try append("\(scratch)/log", 50, 1)
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 0)
            #expect(try await run(scratch, "restore", "--archive", archive, "--to", "\(scratch)/drill").code == 0)
            try Data("logs: [{path: \(scratch)/drill, name: orders}]\ndestinations: [{url: \"file://\(scratch)/archive\"}]\n".utf8)
                .write(to: URL(filePath: "\(scratch)/walshipd.yaml"))
            let before = (try tree("\(scratch)/archive"), try tree("\(scratch)/drill"))
            #expect(try await run(scratch, "cat", "--log", "\(scratch)/drill").code == 0)
            let ended = try await run(scratch, "run", "--config", "\(scratch)/walshipd.yaml")
            #expect(ended.code == 4 && ended.error.contains("promote"), "\(ended)")
            #expect(try tree("\(scratch)/archive") == before.0)
            #expect(try tree("\(scratch)/drill") == before.1)
            // Worse: somebody promotes the drill's copy, while production has gone on. Production is not fenced.
            #expect(try await run(scratch, "promote", "--log", "\(scratch)/drill").code == 0)
            try append("\(scratch)/log", 20, 2)
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 0)
            let grown = try tree("\(scratch)/archive")
            let second = try await run(scratch, "run", "--config", "\(scratch)/walshipd.yaml")
            #expect(second.code == 4 && second.error.contains("is not in this log"), "\(second)")
            #expect(try tree("\(scratch)/archive") == grown)
            try append("\(scratch)/log", 20, 3)
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 0)
        }
    }

    /// Lesson 6: two agents with two logs, started on one prefix at one moment.
    @Test func ofTwoAgentsOnOnePrefixOneStopsAndTheOthersLogIsWhole() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            for name in ["a", "b"] { try append("\(scratch)/\(name)", 40, name == "a" ? 1 : 2) }
            let agents = try ["a", "b"].map {
                try Program(Program.walshipd, ["run", "--once", "--log", "\(scratch)/\($0)", "--archive", archive] + Self.quick, in: scratch)
            }
            var codes: [Int32] = []
            for agent in agents { codes.append(try await agent.ended().code) }
            #expect(codes.sorted() == [0, 4], "\(codes)")
            let winner = codes[0] == 0 ? "a" : "b"
            #expect(try await run(scratch, "restore", "--archive", archive, "--to", "\(scratch)/restored").code == 0)
            try expectWhole("\(scratch)/restored", of: "\(scratch)/\(winner)", count: 40)
        }
    }

    /// Lesson 20: eight copies are promoted at one moment, and all of them shipped.
    @Test func ofEightRivalsOneGoesOn() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            try append("\(scratch)/log", 20, 1)
            #expect(try await ship(scratch, "\(scratch)/log", archive).code == 0)
            for index in 0..<8 { try await shell(scratch, "cp -r log rival-\(index)") }
            let promotions = try (0..<8).map {
                try Program(Program.walshipd, ["promote", "--log", "\(scratch)/rival-\($0)", "--archive", archive], in: scratch)
            }
            var promoted: [Int] = []
            for (index, promotion) in promotions.enumerated() {
                let ended = try await promotion.ended()
                #expect(ended.code == 0 || ended.code == 4, "\(ended)")
                if ended.code == 0 { promoted.append(index) }
            }
            try #require(!promoted.isEmpty)
            for index in promoted { try append("\(scratch)/rival-\(index)", 20, UInt8(10 + index)) }
            let shippers = try promoted.map {
                try Program(Program.walshipd, ["run", "--once", "--log", "\(scratch)/rival-\($0)", "--archive", archive] + Self.quick, in: scratch)
            }
            var owners: [Int] = []
            for (index, shipper) in zip(promoted, shippers) {
                let ended = try await shipper.ended()
                #expect(ended.code == 0 || ended.code == 4, "\(ended)")
                if ended.code == 0 { owners.append(index) }
            }
            try #require(owners.count == 1, "\(owners) of \(promoted)")
            #expect(try await run(scratch, "restore", "--archive", archive, "--to", "\(scratch)/restored").code == 0)
            try expectWhole("\(scratch)/restored", of: "\(scratch)/rival-\(owners[0])", count: 40)
        }
    }

    /// The embedded server gives an epoch to one of eight.
    @Test(arguments: [2, 8]) func onTheEmbeddedServerOneOwnerGoesOn(rivals: Int) async throws {
        try await withScratch { scratch async throws in
            let server = try await ServeProcess(root: "\(scratch)/root", in: scratch)
            var settings = Archive.HTTPSettings()
            settings.proxy = ""
            var stores: [HTTPStore] = []
            for _ in 0..<rivals { stores.append(try HTTPStore(base: "\(server.url)/base", settings: settings)) }
            let capabilities = try await stores[0].probe(prefix: ObjectKey("probe/.probe"))
            #expect(capabilities.contains(.conditionalCreate))
            for store in stores { await store.assume(capabilities) }
            let factor = ProcessInfo.processInfo.environment["WALSHIP_RACES"].flatMap { Int($0) } ?? 1
            for round in 0..<4 * factor {
                let layout = Layout(log: try #require(LogName("race-\(round)")))
                let won = await withTaskGroup(of: Int.self) { group in
                    for (index, store) in stores.enumerated() {
                        group.addTask {
                            let claims = Claims(
                                store: store, layout: layout, settle: 0.3,
                                patience: { RetryTimer(RetryPolicy(deadline: 30, delayFirst: 0.02, delayMax: 0.1)) })
                            let epoch = EpochName(number: 1, id: EpochID(rawValue: UInt64(index + 1)))
                            return (try? await claims.claim(epoch, host: "", time: 0)) == .won ? 1 : 0
                        }
                    }
                    return await group.reduce(0, +)
                }
                #expect(won == 1, "round \(round)")
            }
            _ = try await server.stop()
        }
    }

    @Test func fencingThatIsRequiredRefusesAServerThatIgnoresConditionsAndStatusNamesIt() async throws {
        try await withScratch { scratch async throws in
            let nginx = try await NginxServer.start()
            try append("\(scratch)/log", 10, 1)
            let archive = "\(nginx.url)/a/orders"
            let arguments = ["run", "--once", "--log", "\(scratch)/log", "--archive", archive] + Self.quick
            let refused = try await Program.run(Program.walshipd, arguments + ["--ship-fencing", "required"], in: scratch)
            #expect(refused.code == 6 && refused.error.contains("ignores If-None-Match"), "\(refused)")
            #expect(try tree(nginx.root).isEmpty)
            let accepted = try await Program.run(Program.walshipd, arguments, in: scratch)
            #expect(accepted.code == 0 && accepted.error.contains("ignores If-None-Match"), "\(accepted)")
            let json = try await run(scratch, "status", "--log", "\(scratch)/log", "--json")
            #expect(json.output.contains("\"fencing_weakness\":\"ignores If-None-Match"), "\(json)")
            let words = try await run(scratch, "status", "--log", "\(scratch)/log")
            #expect(words.output.contains("the store ignores If-None-Match"), "\(words)")
        }
    }
}
