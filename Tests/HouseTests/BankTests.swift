import Foundation
import TestSupport
import Testing

/// The example service: its page is run as it is written, and an answer is a promise.
@Suite struct BankTests {
    private static let programs = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path

    @Test func theExamplesPageDoesWhatItSays() async throws {
        let block = try #require(try House.block("sh", in: House.text("Examples/Bank/README.md")))
        let script = block.replacing("127.0.0.1:9180", with: "127.0.0.1:\(try Ports.free())")
        #expect(script != block)
        try await withTemporaryDirectory { directory in
            try ("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + script)
                .write(toFile: "\(directory)/story.sh", atomically: true, encoding: .utf8)
            let work = "\(directory)/work"
            try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false)
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            // With its children, whatever happens: some of its lines wait for others.
            let process = try ChildProcess(
                "timeout", ["-k", "2", "100", "bash", "\(directory)/story.sh"], in: directory,
                environment: ["PATH": "\(Self.programs):\(path)", "SWIFT_BACKTRACE": "enable=no"], workingDirectory: work)
            let exit = try await process.waitForExit(within: .seconds(120))
            #expect(exit == .exited(0), "\(process.standardError)")
            let lines = process.standardOutput.split(separator: "\n")
            #expect(lines.contains("refused: bob has only 300"), "\(process.standardOutput)")
            #expect(lines.suffix(3) == ["ann 350", "bob 300", "eve 7"], "\(process.standardOutput)")
        }
    }

    @Test func whatWasAnsweredHasHappenedWhateverBecomesOfTheBank() async throws {
        try await withTemporaryDirectory { directory in
            let bank = try ChildProcess("\(Self.programs)/bank", ["serve", "\(directory)/accounts"], in: directory, input: .pipe)
            bank.write(Array(String(repeating: "deposit ann 1\n", count: 2000).utf8))
            var answers = 0
            try await waitUntil("some are answered", within: .seconds(30)) {
                answers = bank.standardOutput.split(separator: "\n").count { $0.hasPrefix("done ") }
                return answers >= 20
            }
            bank.kill()
            _ = try await bank.waitForExit()
            answers = bank.standardOutput.split(separator: "\n", omittingEmptySubsequences: false).dropLast().count
            let show = try ChildProcess("\(Self.programs)/bank", ["serve", "\(directory)/accounts"], in: directory)
            #expect(try await show.waitForExit() == .exited(0), "\(show.standardError)")
            let balances = try ChildProcess("\(Self.programs)/bank", ["balances", "\(directory)/accounts"], in: directory)
            #expect(try await balances.waitForExit() == .exited(0), "\(balances.standardError)")
            let words = balances.standardOutput.split(whereSeparator: \.isWhitespace)
            try #require(words.count == 2 && words[0] == "ann", "\(balances.standardOutput)")
            let cents = try #require(Int(words[1]))
            #expect(cents >= answers && cents <= 2000, "\(answers) were answered")
        }
    }

    /// A package of its own, so that it shows how one depends on the library; the project builds the same sources for its tests.
    @Test func theExampleUsesWhatIsPublicAlone() throws {
        let manifest = try House.text("Package.swift")
        #expect(manifest.contains(#"name: "bank", dependencies: ["WAL"], path: "Examples/Bank/Sources", packageAccess: false"#))
        for file in try House.files("Examples/Bank/Sources", ".swift") {
            let modules = try House.text(file).split(separator: "\n").compactMap { ImportRulesTests.imported($0) }
            #expect(Set(modules).isSubset(of: ["WAL", "Foundation"]), "\(file)")
        }
    }
}
