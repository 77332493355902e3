import Archive
import ArgumentParser
import Foundation
import Testing
import WAL

@testable import walshipd

@Suite struct ExitCodeTests {
    @Test func theNumbersAreThoseOfTheContract() {
        #expect(walshipd.ExitCode.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5, 6])
    }

    @Test(
        arguments: [
            (.io(operation: "read", path: "p", errno: EIO), 1), (.io(operation: "open", path: "p", errno: ENOENT), 5),
            (.io(operation: "open", path: "p", errno: ENOTDIR), 5), (.corruption(lsn: .zero, reason: "r"), 3),
            (.recordTooLarge(count: 2, max: 1), 1), (.encoding(reason: "r"), 1), (.locked(holder: "h"), 1),
            (.parameterMismatch(parameter: "p", stored: "1", requested: "2"), 2), (.noSpace(path: "p"), 1),
            (.stopped(cause: .closed), 1),
            (.stopped(cause: .replica), 1), (.stopped(cause: .flushFailed(operation: "fdatasync", path: "p", errno: EIO)), 1),
            (.positionLost(head: .zero), 5), (.notALog(path: "p", reason: "r"), 1),
            (.copiedWhileLive(path: "p", lsn: .zero), 3), (.cancelled, 1),
        ] as [(WALError, Int32)])
    func errorsOfTheLogHaveTheirCode(_ error: WALError, _ code: Int32) {
        #expect(walshipd.ExitCode(of: error).rawValue == code)
        #expect(Ending(of: error, root: WalshipD.self, arguments: ["serve"]).code.rawValue == code)
    }

    @Test(
        arguments: [
            (.notFound, 5), (.unreachable, 6), (.refused(status: 400), 6), (.unauthorized(status: 403), 6), (.outOfSpace, 6),
            (.tooLarge, 6),
            (.busy(status: 503), 6), (.unsupported, 6), (.damaged, 3), (.diverged, 4), (.fenced, 4), (.gap, 3),
            (.endUnproven, 3), (.invalid, 2), (.keyMissing, 2),
            (.cancelled, 1),
        ] as [(ArchiveError.Code, Int32)])
    func errorsOfTheArchiveHaveTheirCode(_ code: ArchiveError.Code, _ expected: Int32) {
        let error = ArchiveError(code, "what")
        #expect(Ending(of: error, root: WalshipD.self, arguments: []).code.rawValue == expected)
    }

    @Test func anInvalidDocumentIsDamageAndAnInvalidURLIsUsage() {
        #expect(walshipd.ExitCode(of: ArchiveError(.invalid, "what", key: ObjectKey("a/log.json"))) == .damaged)
        #expect(walshipd.ExitCode(of: ArchiveError(.invalid, "what")) == .usage)
    }

    @Test func messagesNameTheCommand() {
        let ending = Ending(
            of: CommandError(.notFound, "nothing at p; look elsewhere"), root: WalshipD.self, arguments: ["serve", "--root"])
        #expect(ending == Ending(code: .notFound, message: "walshipd serve: nothing at p; look elsewhere"))
        let noCommand = Ending(of: CommandError.usage("x"), root: WalshipD.self, arguments: ["nonsense"])
        #expect(noCommand == Ending(code: .usage, message: "walshipd: x"))
        let other = Ending(of: CancellationError(), root: WalshipD.self, arguments: [])
        #expect(other.code == .failed)
    }

    @Test func aReaderThatHasGoneEndsTheProgramQuietly() {
        let ending = Ending(
            of: WALError.io(operation: "write", path: "standard output", errno: EPIPE), root: WalshipD.self, arguments: [])
        #expect(ending == Ending(code: .failed))
    }

    @Test func theProgramAnswersWithItsCodes() async throws {
        try await withScratch { scratch async throws in
            let version = try await Program.run(Program.walshipd, ["--version"], in: scratch)
            #expect(version == Program.Ended(code: 0, output: "walshipd \(Version.current)\n", error: ""))
            for help in [["--help"], ["help"], ["serve", "--help"]] {
                let ended = try await Program.run(Program.walshipd, help, in: scratch)
                #expect(ended.code == 0)
                #expect(ended.output.contains("USAGE: walshipd"))
                #expect(ended.error.isEmpty)
            }
            for wrong in [["nonsense"], ["--nonsense"], ["serve"], ["serve", "--root"], ["serve", "--root", "r", "more"]] {
                let ended = try await Program.run(Program.walshipd, wrong, in: scratch)
                #expect(ended.code == 2, "\(wrong)")
                #expect(ended.output.isEmpty, "\(wrong)")
                #expect(
                    ended.error.hasPrefix(wrong[0] == "serve" ? "walshipd serve: " : "walshipd: "), "\(wrong): \(ended.error)")
            }
        }
    }

    /// /dev/full fails every write with ENOSPC; a closed pipe with EPIPE.
    @Test func outputThatCannotBeWrittenIsNoSuccess() async throws {
        try await withScratch { scratch async throws in
            let script = "\"$0\" --help > /dev/full; echo \"full $?\"; { \"$0\" --help; echo \"pipe $?\" >&2; } | true"
            let ended = try await Program.run("sh", ["-c", script, Program.walshipd], in: scratch)
            #expect(ended.output == "full 1\n")
            #expect(ended.error.hasPrefix("pipe "), "\(ended.error)")
        }
    }
}
