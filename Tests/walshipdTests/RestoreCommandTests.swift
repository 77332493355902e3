import Archive
import Foundation
import TestSupport
import Testing
import WAL

@Suite struct RestoreCommandTests {
    private func withArchive(_ body: (String, String, ArchiveBuilder) async throws -> Void) async throws {
        try await withArchivedLog(records: 500, body)
    }

    private func run(_ directory: String, _ arguments: String...) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, arguments, in: directory)
    }

    @Test func restoresAndPromotes() async throws {
        try await withArchive { directory, url, builder in
            let end = try builder.reader.durableLSN
            let plan = try await run(directory, "restore", "--archive", url, "--plan")
            #expect(plan.code == 0 && plan.output.contains("end_lsn \(end)\n") && plan.output.contains("epoch 1 "), "\(plan)")
            let restored = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored")
            #expect(restored.code == 0 && restored.output.isEmpty, "\(restored)")
            #expect(restored.error.contains("\nrestored 500 records, \(end) bytes, LSN 0 to \(end), "), "\(restored)")
            let again = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored")
            #expect(again.code == 1 && again.error.contains("must be empty"), "\(again)")
            let promoted = try await run(directory, "promote", "--log", "\(directory)/restored", "--archive", url)
            #expect(promoted.code == 0 && promoted.error.contains("promoted: epoch 2 "), "\(promoted)")
            let log = try SegmentedLog.open(directory: "\(directory)/restored")
            #expect(try log.append([1]) == end)
            try log.close()
            let second = try await run(directory, "promote", "--log", "\(directory)/restored", "--archive", url)
            #expect(second.code == 0 && second.error.contains("nothing to do: epoch 2 "), "\(second)")
        }
    }

    @Test func promotingWhatIsNotThereIsNotFoundAndMakesNothing() async throws {
        try await withScratch { directory in
            let ended = try await run(directory, "promote", "--log", "\(directory)/nowhere")
            #expect(ended.code == 5 && ended.error.contains("there is no log in"), "\(ended)")
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/nowhere"))
        }
    }

    @Test func catPrintsTheRecordsOfAnArchive() async throws {
        try await withArchive { directory, url, builder in
            let whole = try await run(directory, "cat", "--archive", url)
            #expect(whole.code == 0)
            #expect(whole.output == (0..<500).map { "record \($0)\n" }.joined())
            let log = try await run(directory, "cat", "--log", "\(directory)/log", "--from", "16", "--to", "64", "--format", "json")
            let archive = try await run(directory, "cat", "--archive", url, "--from", "16", "--to", "64", "--format", "json")
            #expect(archive.code == 0 && !archive.output.isEmpty && archive.output == log.output)
            let key = builder.layout.segment(builder.epoch, start: LSN(4096))
            try FileManager.default.removeItem(atPath: "\(directory)/archive/\(key)")
            let gap = try await run(directory, "cat", "--archive", url)
            #expect(gap.code == 3 && gap.output.hasPrefix("record 0\nrecord 1\n") && gap.error.contains("at LSN 4096"), "\(gap.error)")
            #expect(try await run(directory, "cat", "--archive", url, "--log", "x").code == 2)
        }
    }

    @Test func exitCodesSayWhatIsWrong() async throws {
        try await withArchive { directory, url, builder in
            let missing = try await run(directory, "restore", "--archive", "\(url)x", "--to", "\(directory)/restored")
            #expect(missing.code == 5 && missing.error.contains("there is no archive of the log ordersx"), "\(missing)")
            let past = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored", "--at", "99999999")
            #expect(past.code == 5, "\(past)")
            let usage = try await run(directory, "restore", "--archive", url)
            #expect(usage.code == 2, "\(usage)")
            let unreachable = try await run(directory, "restore", "--archive", "ftp://x/y", "--plan")
            #expect(unreachable.code == 2, "\(unreachable)")
            let key = builder.layout.segment(builder.epoch, start: .zero)
            try FileManager.default.removeItem(atPath: "\(directory)/archive/\(key)")
            let gap = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored")
            #expect(gap.code == 3 && gap.error.contains("at LSN 0"), "\(gap)")
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/restored"))
            let notALog = try await run(directory, "promote", "--log", "\(directory)/archive", "--archive", url)
            #expect(notALog.code == 1, "\(notALog)")
        }
    }

    @Test func aPromotionOfWhatAnotherOwnsIsFenced() async throws {
        try await withArchive { directory, url, builder in
            _ = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/a")
            _ = try await run(directory, "promote", "--log", "\(directory)/a")
            try await builder.claim(EpochName(number: 2, id: EpochID(rawValue: 3)))
            let fenced = try await run(directory, "promote", "--log", "\(directory)/a", "--archive", url)
            #expect(fenced.code == 4, "\(fenced)")
        }
    }
}
